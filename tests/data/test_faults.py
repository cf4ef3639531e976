from segtrain.core.errors import Problem
from segtrain.data.faults import Faults


def test_problems_stay_with_their_case_in_the_order_in_which_cases_came_up():
    faults = Faults()
    faults.of("b").append(Problem("one"))
    faults.of().append(Problem("all"))
    faults.of("a")
    faults.of("b").append(Problem("two"))
    assert [(case, p.what) for case, p in faults] == [("b", "one"), ("b", "two"), ("", "all")]
    assert [p.what for p in faults.problems] == ["one", "two", "all"]
    assert [problem.cases for problem in faults.problems] == [("b",), ("b",), ()]
    assert "b" in faults
    assert "a" not in faults


def test_a_problem_that_says_itself_whom_it_is_about_keeps_them():
    faults = Faults()
    faults.of("a").append(Problem("they are alike", cases=("a", "b")))
    assert [problem.cases for problem in faults.problems] == [("a", "b")]
