"""Hyper-parameters by Optuna studies (Table 10, A.4)."""
