"""Bundles: the month's candidate, signed by its builder; and at last the one that a person approved.

The candidate is made with the chain. The approved bundle waits for `py_rt bundle approve`, so it is made by itself,
afterwards: `py_rt run --select approved_bundle --partition <month>`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.backtests import LIMITS_FILE
from assets.beside import KNOWN_FILE, bars_beside, deps_on, reads_flow, reads_of_features
from assets.models import STRATEGY_FILE
from assets.outside import Made, Outside, Question
from assets.partitions import monthly
from assets.versions import code_version
from py_rt.bundle import build, candidate, gates, keys, manifest, provenance, verdict
from py_rt.bundle.build import BuiltBundle
from py_rt.bundle.candidate import Parts
from py_rt.bundle.gates import FOR_PAPER, Gates
from py_rt.bundle.provenance import Provenance
from py_rt.bundle.statement import PAPER
from py_rt.bundle.store import BundleStore
from py_rt.bundle.verdict import Expectation, Verdict
from py_rt.data.storage import Lake, scan, spec_table, table_version
from py_rt.defaults import default_root
from py_rt.ml.features.known_tables import read_known_columns, tables_read
from py_rt.ml.features.technical import FeatureSet

GROUP = "bundles"
WAITS = {"py_rt/waits_for": "approval"}
"""Tag of what no job makes by itself: a person comes first."""

NOT_SIGNED = "not signed"

Files = dict[str, bytes]

_with_month_before = dg.TimeWindowPartitionMapping(start_offset=-1, allow_nonexistent_upstream_partitions=True)


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    deps=deps_on(reads_of_features(), flow=reads_flow(), before=1, inputs=("clean_bars",), monthly=True),
    code_version=code_version(
        __name__,
        "assets.beside",
        build,
        candidate,
        gates,
        manifest,
        provenance,
        verdict,
        files=[STRATEGY_FILE, LIMITS_FILE, KNOWN_FILE],
    ),
    kinds={"rust"},
    io_manager_key="artifacts",
    ins={"clean_bars": dg.AssetIn(partition_mapping=_with_month_before)},
    check_specs=[
        dg.AssetCheckSpec("reader_accepts", asset="candidate_bundle", blocking=True),
        *(dg.AssetCheckSpec(name, asset="candidate_bundle", blocking=True) for name in FOR_PAPER),
        dg.AssetCheckSpec("signed_by_builder", asset="candidate_bundle"),
    ],
)
def candidate_bundle(  # noqa: PLR0913, PLR0917  # an asset names everything that it is made from
    context: dg.AssetExecutionContext,
    bundle_store: dg.ResourceParam[BundleStore],
    key_folder: dg.ResourceParam[Path],
    lake: dg.ResourceParam[Lake],
    clean_bars: pl.DataFrame,
    model_spec: Files,
    hyperparameter_study: Files,
    onnx_model: Files,
    backtest_threshold: Files,
    overfit_report: Files,
) -> Iterator[dg.Output[Files] | dg.AssetCheckResult]:
    """Model, features, strategy, limits, golden rows, reports and provenance under one hash, signed by the builder."""
    parts = _parts(model_spec, onnx_model, backtest_threshold, overfit_report)
    made_from = _made_from(lake, hyperparameter_study, backtest_threshold, model_spec)
    features = FeatureSet.from_canonical(parts.features.decode())
    no_look_ahead = candidate.look_ahead(parts.features, bars_beside(clean_bars, features, lake).bars)
    policy = LIMITS_FILE.read_text(encoding="utf-8")
    files, passed = candidate.candidate_files(parts, made_from, no_look_ahead=no_look_ahead, policy=policy)
    built = build.build_bundle(
        bundle_store,
        files,
        name=_model_name(parts.model),
        version=build.strategy_version(parts.strategy),
        instrument=str(clean_bars["instrument"][0]),
    )
    bundle_store.put_record(built.digest, _record(context))
    found = verdict.inspect(bundle_store.root, built.digest, risk_policy=policy)
    signer = _signed(bundle_store, built.digest, key_folder, policy) if found.ok else None
    yield _candidate(built, passed, found, signer)
    yield from _checks(found, passed, signer)


def _parts(model_spec: Files, onnx_model: Files, backtest_threshold: Files, overfit_report: Files) -> Parts:
    return Parts(
        features=model_spec["features.json"],
        model=onnx_model["model.onnx"],
        golden=onnx_model["golden.bin"],
        parity=onnx_model["parity.json"],
        model_card=onnx_model["model_card.md"],
        backtest=backtest_threshold["backtest.json"],
        overfit=overfit_report["overfit.json"],
        strategy=STRATEGY_FILE.read_text(encoding="utf-8"),
        risk_limits=LIMITS_FILE.read_text(encoding="utf-8"),
    )


def tables_of(spec_sha256: str) -> Mapping[str, str]:
    """Tables that stand in the provenance of a bundle with that feature specification, with their groups."""
    return {
        "raw_bars": "raw",
        "clean_bars": "cleaned",
        spec_table("features_bar", spec_sha256): "features",
        "labels": "features",
    }


def _made_from(lake: Lake, study: Files, backtest: Files, model_spec: Files) -> Provenance:
    """Table versions, raw files, seeds and code; the table of features is that of the file of features."""
    searched = json.loads(study["study.json"])
    spec_sha256 = manifest.sha256_hex(model_spec["features.json"])
    base_sha256 = str(json.loads(model_spec["normalization.json"])["base_sha256"])
    features = FeatureSet.from_canonical(model_spec["features.json"].decode())
    told = tables_read(features, lake, read_known_columns(KNOWN_FILE)).items()
    raw = scan(lake.table_uri("raw_bars")).select("file_sha256").unique().collect()
    return Provenance(
        dataset_id=str(searched["dataset_id"]),
        feature_spec_sha256=spec_sha256,
        code=provenance.code_of(default_root()),
        raw_files=frozenset(raw["file_sha256"]),
        tables={name: table_version(lake.uri(group, name)) for name, group in (*tables_of(base_sha256).items(), *told)},
        seeds={
            "study": int(searched["seed"]),
            "backtest": int(json.loads(backtest["backtest.json"])["config"]["seed"]),
        },
    )


def _model_name(model: bytes) -> str:
    from py_rt.ml.export import read_metadata  # it imports training libraries, which load slowly

    return read_metadata(model).name


def _record(context: dg.AssetExecutionContext) -> Mapping[str, object]:
    """Which runs made it, and when: no content, because the same content can be made twice."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("onnx_model"), asset_partitions=[context.partition_key])
    trained = context.instance.fetch_materializations(wanted, limit=1).records
    return {
        "training_run": trained[0].run_id if trained else None,
        "build_run": context.run.run_id,
        "month": context.partition_key,
        "built_at_ns": time.time_ns(),
    }


def _signed(store: BundleStore, digest: str, folder: Path, policy: str) -> str | None:
    """Sign as builder, where this home has such a key; the key's id."""
    path = keys.key_path(folder, "builder")
    if not path.exists():
        return None
    key = keys.SigningKey.load(path)
    build.sign_as_builder(store, digest, key, risk_policy=policy)
    return key.key_id


def _candidate(built: BuiltBundle, passed: Gates, found: Verdict, signer: str | None) -> dg.Output[Files]:
    listed = "\n".join(f"- {gate}" for _, gate in sorted(passed.gates.items()))
    summary = {"digest": built.digest, "builder": signer, "accepted": found.ok}
    return dg.Output(
        {"bundle.json": manifest.canonical_json(summary)},
        data_version=dg.DataVersion(built.digest),
        metadata={
            "digest": built.digest,
            "path": dg.MetadataValue.path(str(built.folder)),
            "new": built.created,
            "builder": signer or NOT_SIGNED,
            "gates": dg.MetadataValue.md(listed),
        },
    )


def _checks(found: Verdict, passed: Gates, signer: str | None) -> Iterator[dg.AssetCheckResult]:
    shown = {name: value for name, value in found.facts.items() if name != "ok"}
    yield dg.AssetCheckResult(
        check_name="reader_accepts",
        passed=found.ok,
        description="The service's own reader takes it: files, texts, model, golden rows, limits.",
        metadata=shown,
    )
    for name in FOR_PAPER:
        gate = passed.gates[name]
        yield dg.AssetCheckResult(
            check_name=name, passed=gate.passed is True, description=str(gate), metadata={"value": gate.value}
        )
    unsigned = "no builder key here: `py_rt keys create --role builder`, then make the bundle again"
    yield dg.AssetCheckResult(
        check_name="signed_by_builder",
        passed=signer is not None,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Signed by key {signer}." if signer else unsigned,
    )


class ApprovalSettings(dg.Config):
    """For which slot and stage the approval must stand."""

    slot: int = Field(default=1, ge=0, le=65_535)
    stage: str = PAPER


@dg.asset(
    group_name=GROUP,
    partitions_def=monthly,
    code_version=code_version(__name__, verdict, files=[LIMITS_FILE]),
    kinds={"rust"},
    io_manager_key="artifacts",
    tags=WAITS,
)
def approved_bundle(
    config: ApprovalSettings,
    bundle_store: dg.ResourceParam[BundleStore],
    key_folder: dg.ResourceParam[Path],
    candidate_bundle: Files,
) -> dg.Output[Files]:
    """The month's candidate with both signatures: what a service may be told to run. Fails until it is approved."""
    digest = str(json.loads(candidate_bundle["bundle.json"])["digest"])
    trusted, _ = keys.read_trusted_keys(key_folder / keys.TRUSTED_KEYS)
    expected = Expectation(config.slot, config.stage, time.time_ns())
    policy = LIMITS_FILE.read_text(encoding="utf-8")
    found = verdict.verify(bundle_store.root, digest, trusted, expected, risk_policy=policy)
    if not found.ok:
        raise dg.Failure(_what_next(digest, found, config), allow_retries=False)
    if bundle_store.alias(config.slot, "champion") != digest:
        bundle_store.set_alias(config.slot, "challenger", digest)
    return _approved(bundle_store, found)


def _what_next(digest: str, found: Verdict, config: ApprovalSettings) -> str:
    wanted = f"py_rt bundle approve {digest[:12]} --slot {config.slot} --stage {config.stage}"
    return f"not approved ({found.facts['refusal']}): {found.facts['reason']}. To approve: {wanted}"


def _approved(store: BundleStore, found: Verdict) -> dg.Output[Files]:
    facts = found.facts
    shown = (
        "name",
        "version",
        "instrument",
        "slot",
        "stage",
        "size_scale",
        "serial",
        "builder",
        "approver",
        "expires_ns",
    )
    return dg.Output(
        {"approval.json": manifest.canonical_json(dict(facts))},
        data_version=dg.DataVersion(f"{found.digest}-{facts['serial']}"),
        metadata={
            "digest": found.digest,
            "path": dg.MetadataValue.path(str(store.folder(found.digest))),
            **{name: facts[name] for name in shown},
        },
    )


def _candidate_changed(outside: Outside, made: Made) -> str | None:
    digest, signer = str(made.metadata.get("digest")), made.metadata.get("builder")
    if not outside.store.folder(digest).is_dir():
        return "its bundle is gone from the store"
    if outside.builder not in {None, signer}:
        return "there is a builder key now" if signer == NOT_SIGNED else "the builder has another key now"
    if signer != NOT_SIGNED and not outside.store.signature(digest, "builder").is_file():
        return "its signature is gone"
    return None


def _approval_looked_at(_outside: Outside, _made: Made) -> str | None:
    return "an approval is looked at every time: it ends by itself"


OUTSIDE: Mapping[str, Question] = {"candidate_bundle": _candidate_changed, "approved_bundle": _approval_looked_at}
