"""Before many studies start, the time that they will take is said; what is there already does not count."""

from __future__ import annotations

import logging
from dataclasses import replace

from tgsr.study.comparing import ComparePlan, comparison_table, requests_of
from studies.estimates import describe_estimate, estimate_seconds

PLAN = ComparePlan(methods=("SVM", "SA", "TGSR"), axes={"kappa": list(range(1, 60)), "xi": [0.1, 10.0]})


def test_an_estimate_names_what_takes_long_in_minutes_of_all_threads():
    assert describe_estimate({"TSRG": 3000.0, "STM": 960.0, "SA": 2.0}, jobs=2) == (
        "about 33 minutes on 2 threads: TSRG 25, STM 8"
    )
    assert describe_estimate({"TSRG": 25_000.0}, jobs=1) == "about 420 minutes on 1 thread: TSRG 420"
    assert describe_estimate({"SA": 30.0}, jobs=1) == "less than a minute on 1 thread"


def test_only_what_is_lacking_is_estimated(make_options, small_pair):
    requests = requests_of([small_pair], PLAN, make_options())
    seconds = estimate_seconds(requests)
    assert set(seconds) == {"SA", "TGSR"}, "one setting needs no estimate"
    assert 0 < seconds["SA"] < seconds["TGSR"] < 600


def test_a_comparison_says_its_time_once_and_not_when_it_is_there(make_options, small_pair, caplog):
    options = replace(make_options(), progress=True)
    with caplog.at_level(logging.INFO, logger="studies"):
        comparison_table([small_pair], PLAN, options)
        assert [text for text in caplog.messages if "thread" in text] == [
            f"less than a minute on {options.jobs} thread{'s' * (options.jobs > 1)}"
        ]
        caplog.clear()
        comparison_table([small_pair], PLAN, options)
    assert not [text for text in caplog.messages if "thread" in text]
