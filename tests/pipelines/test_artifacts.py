"""Files in, the same files out, by asset and partition; refusals name the asset and the file."""

from pathlib import Path

import dagster as dg
import pytest

from pipelines.artifacts import ArtifactIOManager
from py_rt.errors import TableError

MONTHS = dg.MonthlyPartitionsDefinition(start_date="2021-11-01")


def make(content: dict[str, bytes]) -> tuple[dg.AssetsDefinition, dg.AssetsDefinition, list[dict[str, bytes]]]:
    seen: list[dict[str, bytes]] = []

    @dg.asset(group_name="models", partitions_def=MONTHS)
    def model(context: dg.AssetExecutionContext) -> dict[str, bytes]:
        return {**content, "month.txt": context.partition_key.encode()}

    @dg.asset(group_name="models", partitions_def=MONTHS)
    def reader(model: dict[str, bytes]) -> dict[str, bytes]:
        seen.append(model)
        return {"ok": b""}

    return model, reader, seen


def run(root: Path, assets: list[dg.AssetsDefinition], month: str) -> dg.ExecuteInProcessResult:
    resources = {"io_manager": ArtifactIOManager(root)}
    return dg.materialize(assets, resources=resources, partition_key=month, raise_on_error=True)


def test_each_partition_keeps_its_own_files(tmp_path: Path) -> None:
    model, reader, seen = make({"model.onnx": bytes(range(256))})
    for month in ("2021-11-01", "2021-12-01"):
        run(tmp_path, [model, reader], month)
    assert [files["month.txt"] for files in seen] == [b"2021-11-01", b"2021-12-01"]
    assert seen[0]["model.onnx"] == bytes(range(256))
    assert (tmp_path / "models" / "model" / "2021-11-01" / "model.onnx").is_file()


def test_a_rerun_replaces_the_whole_folder(tmp_path: Path) -> None:
    run(tmp_path, [make({"old.txt": b"1"})[0]], "2021-11-01")
    run(tmp_path, [make({"new.txt": b"2"})[0]], "2021-11-01")
    folder = tmp_path / "models" / "model" / "2021-11-01"
    assert sorted(file.name for file in folder.iterdir()) == ["month.txt", "new.txt"]
    assert [place.name for place in folder.parent.iterdir()] == ["2021-11-01"], "nothing is left beside it"


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "x" * 101])
def test_a_file_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match="asset model: file name"):
        run(tmp_path, [make({name: b""})[0]], "2021-11-01")


def test_anything_but_files_is_refused(tmp_path: Path) -> None:
    @dg.asset(group_name="models", partitions_def=MONTHS)
    def model() -> list[int]:
        return [1]

    with pytest.raises(TableError, match="gave a list"):
        run(tmp_path, [model], "2021-11-01")


def test_what_was_not_made_is_named(tmp_path: Path) -> None:
    model, reader, _ = make({})
    with pytest.raises(TableError, match="model for partition 2021-11-01 has not been made"):
        dg.materialize(
            [model, reader],
            selection=[reader],
            resources={"io_manager": ArtifactIOManager(tmp_path)},
            partition_key="2021-11-01",
        )
