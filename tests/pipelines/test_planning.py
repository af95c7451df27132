from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from pipelines.planning import Days, parse_days, plan, select
from py_rt.errors import RunError

daily = dg.DailyPartitionsDefinition("2021-09-27", end_date="2022-01-05")
monthly = dg.MonthlyPartitionsDefinition("2021-11-01", end_date="2022-02-01")
single_run = dg.BackfillPolicy.single_run()


def asset(
    name: str, *reads: str, by: dg.PartitionsDefinition | None = None, group: str = "raw", together: bool = True
) -> dg.AssetsDefinition:
    policy = single_run if by is not None and together else None

    @dg.asset(name=name, deps=list(reads), partitions_def=by, backfill_policy=policy, group_name=group)
    def made() -> None:
        return None

    return made


GRAPH = dg.Definitions(
    assets=[
        asset("bars", by=daily),
        asset("notes"),
        asset("features", "bars", "spec", by=daily, group="features"),
        asset("spec", group="features"),
        asset("model", "features", by=monthly, group="models", together=False),
        asset("report", "model", "notes", group="backtests"),
        asset("bundle", "model", "report", by=monthly, group="bundles"),
        asset("aside", group="other"),
    ]
).resolve_asset_graph()

ALL_DAYS = Days(date(2021, 9, 27), date(2021, 12, 29))


def chosen(expression: str | None = None, job: str | None = None) -> set[str]:
    return {key.to_user_string() for key in select(GRAPH, expression=expression, job=job)}


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("bars", {"bars"}),
        ("bars, spec", {"bars", "spec"}),
        ("group:features", {"features", "spec"}),
        ("features+", {"features", "model"}),
        ("+features", {"bars", "spec", "features"}),
        ("bars*", {"bars", "features", "model", "report", "bundle"}),
    ],
)
def test_keys_and_selection_syntax_are_understood(expression: str, wanted: set[str]) -> None:
    assert chosen(expression) == wanted


def test_the_main_job_is_every_group_of_the_chain() -> None:
    assert chosen(job="main_job") == {"bars", "notes", "features", "spec", "model", "report", "bundle"}


@pytest.mark.parametrize(
    ("expression", "job", "words"),
    [
        (None, None, "--select KEYS or --job NAME"),
        ("bars", "main_job", "one of them"),
        (None, "main_jobb", "this command knows main_job"),
        ("barz", None, "did you mean bars?"),
        ("bars,", None, "nothing is selected by ''"),
        ("group:nothing", None, "known assets are aside, bars"),
        ("bars and", None, "cannot be read"),
    ],
)
def test_a_wrong_selection_is_refused(expression: str | None, job: str | None, words: str) -> None:
    with pytest.raises(RunError) as caught:
        select(GRAPH, expression=expression, job=job)
    assert words in str(caught.value)


def test_the_whole_chain_is_cut_where_the_partitioning_changes() -> None:
    runs = plan(GRAPH, select(GRAPH, job="main_job"), ALL_DAYS)
    shown = [([key.to_user_string() for key in run.assets], run.partitions) for run in runs]
    assert shown == [
        (["bars", "notes", "spec", "features"], "2021-09-27...2021-12-29"),
        (["model"], "2021-11-01"),
        (["model"], "2021-12-01"),
        (["report", "bundle"], "2021-11-01...2021-12-01"),
    ]
    assert runs[0].tags == {
        "dagster/asset_partition_range_start": "2021-09-27",
        "dagster/asset_partition_range_end": "2021-12-29",
    }
    assert runs[1].tags == {"dagster/partition": "2021-11-01"}


def test_a_month_is_made_when_a_day_of_it_is_wanted() -> None:
    runs = plan(GRAPH, select(GRAPH, expression="model"), Days(date(2021, 11, 30), date(2021, 12, 1)))
    assert [run.partitions for run in runs] == ["2021-11-01", "2021-12-01"]


def test_what_has_no_partition_in_the_days_is_left_out() -> None:
    runs = plan(GRAPH, select(GRAPH, expression="features,model"), Days(date(2021, 10, 1), date(2021, 10, 1)))
    assert [run.partitions for run in runs] == ["2021-10-01"]


def test_days_without_any_partition_are_refused_with_the_extent() -> None:
    with pytest.raises(
        RunError, match=r"no selected asset has a partition in 2020-01-01: bars has 2021-09-27\.\.2022-01-04"
    ):
        plan(GRAPH, select(GRAPH, expression="bars"), Days(date(2020, 1, 1), date(2020, 1, 1)))


def test_days_are_asked_for_only_when_something_is_partitioned() -> None:
    runs = plan(GRAPH, select(GRAPH, expression="notes,spec"), None)
    assert [(run.partitions, run.tags) for run in runs] == [(None, {})]
    with pytest.raises(RunError, match="is partitioned: give --partition"):
        plan(GRAPH, select(GRAPH, expression="bars"), None)


def test_partitions_that_are_not_cut_by_time_are_refused() -> None:
    letters = dg.StaticPartitionsDefinition(["a", "b"])
    graph = dg.Definitions(assets=[asset("x", by=letters)]).resolve_asset_graph()
    with pytest.raises(RunError, match="not cut by time"):
        plan(graph, select(graph, expression="x"), ALL_DAYS)


@pytest.mark.parametrize(
    ("partition", "partition_range", "wanted"),
    [
        (None, None, None),
        ("2021-10-27", None, Days(date(2021, 10, 27), date(2021, 10, 27))),
        (None, "2021-10-01...2021-10-31", Days(date(2021, 10, 1), date(2021, 10, 31))),
        (None, " 2021-10-01 ... 2021-10-31 ", Days(date(2021, 10, 1), date(2021, 10, 31))),
    ],
)
def test_days_are_read(partition: str | None, partition_range: str | None, wanted: Days | None) -> None:
    assert parse_days(partition, partition_range) == wanted


@pytest.mark.parametrize(
    ("partition", "partition_range", "words"),
    [
        ("2021-10-27", "2021-10-01...2021-10-31", "not both"),
        ("27.10.2021", None, "'27.10.2021' is no date"),
        (None, "2021-10-01..2021-10-31", "has no '...'"),
        (None, "2021-10-31...2021-10-01", "runs backwards"),
        (None, "2021-10-01...", "'' is no date"),
    ],
)
def test_wrong_days_are_refused(partition: str | None, partition_range: str | None, words: str) -> None:
    with pytest.raises(RunError) as caught:
        parse_days(partition, partition_range)
    assert words in str(caught.value)
