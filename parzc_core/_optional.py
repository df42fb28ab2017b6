"""Libraries that only some methods need."""

from types import ModuleType

from parzc_core.errors import BadInput


def optuna_library(user: str = "BOHB") -> ModuleType:
    """Optuna, quiet. Raises BadInput, in the name of its user, where it is not installed."""
    try:
        import optuna
    except ImportError:
        raise BadInput(f"{user} needs the package optuna: pip install 'parzc[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
