"""A search method of your own: train a neighbour of the best cell so far."""

from dataclasses import dataclass

from parzc_core.search import METHODS, Budget, SearchMethod, TabularBenchmark, method


@dataclass(frozen=True)
class HillClimbing(SearchMethod):
    name = "hill climbing"

    def search(self, session, generator):
        best = session.choices.sample(generator)
        highest = session.query(best)
        while True:  # the session ends the search when the budget is spent
            arch = session.choices.mutate(best, generator)
            if (accuracy := session.query(arch)) >= highest:
                best, highest = arch, accuracy


METHODS["hill climbing"] = HillClimbing

if __name__ == "__main__":
    found = method("hill climbing").run(TabularBenchmark("nb201", "cifar10"), Budget(evaluations=100), seed=0)
    print(found.chosen, found.steps[-1])
