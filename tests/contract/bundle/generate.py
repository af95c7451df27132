"""Writes the golden bundle, its trusted keys and the list of damages beside this file.

Run as ``python tests/contract/bundle/generate.py`` from the project's root, then
``PY_RT_UPDATE_SNAPSHOT=1 pytest tests/contract/test_bundle_verdicts.py`` to write `verdicts.json`, and read the
difference. `native/bundle/tests/contract.rs` and that test do every damage of `cases.json` to a copy of `store/` and
expect the verdict word for word. Keys are fixed numbers: signatures are deterministic, and nobody's secrets.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import py_rt_core
from cryptography.hazmat.primitives.asymmetric import ec

from py_rt.bundle.approve import MAX_VALID_NS
from py_rt.bundle.build import build_bundle, strategy_with_volatility
from py_rt.bundle.gates import Gates, backtest_gates, limits_gate, look_ahead_gate, luck_gate, parity_gate
from py_rt.bundle.keys import SigningKey, TrustedKey
from py_rt.bundle.manifest import Manifest, canonical_json, sha256_hex
from py_rt.bundle.provenance import Code, Provenance
from py_rt.bundle.statement import (
    APPROVAL_TYPE,
    BUILDER_TYPE,
    Approval,
    builder_envelope,
    envelope,
)
from py_rt.bundle.store import BundleStore
from py_rt.ml.export import export_onnx, write_golden
from py_rt.ml.models.classifiers import LightGbmParams, fit_lightgbm

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
NAME = "golden"
VERSION = "1.0.0"
INSTRUMENT = "BTCUSDT"
FEATURES = ("rsi_14", "ret_1")
SLOT = 1
NOT_BEFORE = 1_640_995_200 * 10**9
EXPIRES = NOT_BEFORE + 30 * 86_400 * 10**9
NOW = NOT_BEFORE + 86_400 * 10**9
SERIAL = 5
PARAMS = LightGbmParams(trees=4, learning_rate=0.3, leaves=4, min_leaf_rows=20)

FEATURE_FILE = """
bar_seconds = 900

[[feature]]
name = "rsi_14"
kind = "rsi"
params = { period = 14 }
unit = "index_0_100"
restart_window = 128

[[feature]]
name = "ret_1"
kind = "return"
params = { lag = 1 }
unit = "fraction"
restart_window = 0
"""

KEYS = {
    role: SigningKey(ec.derive_private_key(number, ec.SECP256R1()))
    for role, number in (("builder", 1001), ("approver", 1002), ("operator", 1003), ("stranger", 1004))
}
SENIOR = SigningKey(ec.derive_private_key(1005, ec.SECP256R1()))


def sample(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Rows as the two features have them."""
    rng = np.random.default_rng(20)
    columns = [rng.uniform(20, 80, rows), rng.normal(0, 0.01, rows)]
    return np.stack(columns, axis=1).astype(np.float32)


def model(names: tuple[str, ...], spec: str, name: str = NAME) -> bytes:
    """A model that learned noise."""
    rows = sample(2_000)
    labels = (rows[:, 0] + 500 * rows[:, 1] > 50).astype(np.int8)
    booster = fit_lightgbm(rows, labels, feature_names=names, params=PARAMS, seed=20)
    return export_onnx(booster, feature_names=names, feature_spec_sha256=spec, name=name)


def strategy_text() -> str:
    """The sample strategy with the two features."""
    text = (ROOT / "config" / "strategies" / "btc_momentum.toml").read_text(encoding="utf-8")
    before, rest = text.split("features = [", 1)
    after = rest.split("]", 1)[1]
    listed = ", ".join(f'"{name}"' for name in FEATURES)
    version = before.replace('version = "1.2.0"', f'version = "{VERSION}"')
    return strategy_with_volatility(f"{version}features = [{listed}]{after}", "0.03500000")


def gates() -> Gates:
    """Gates as a short, honest backtest has them."""
    base = {"periods": 2_976, "bar_ns": 900 * 10**9, "annual_sharpe": -1.25, "total_return": -0.01}
    return Gates.of(
        [
            parity_gate(
                {
                    "max_allowed_diff": 1e-5,
                    "min_rows": 5_000,
                    "max_abs_diff": 2e-7,
                    "rows": 6_000,
                    "thresholds": [0.48, 0.5],
                    "passed": True,
                },
                [0.48, 0.5],
            ),
            look_ahead_gate(24, 0),
            limits_gate(0),
            luck_gate(0.25),
            *backtest_gates({"base": base, "stress": {**base, "total_return": -0.02}, "stress_factor": 2}),
        ],
        {"count": 12, "sha256": "ab" * 32},
    )


def content() -> dict[str, bytes]:
    """The files of the golden bundle."""
    spec = py_rt_core.feature_spec_json(FEATURE_FILE, "features.toml").encode()
    onnx = model(FEATURES, sha256_hex(spec))
    provenance = Provenance(
        dataset_id="12" * 32,
        feature_spec_sha256=sha256_hex(spec),
        code=Code(None, None),
        raw_files=frozenset({"34" * 32}),
        tables={"clean_bars": 3, "raw_bars": 1},
        seeds={"model": 20},
    )
    return {
        "features.json": spec,
        "golden.bin": write_golden(onnx, sample(1_000)),
        "model.onnx": onnx,
        "provenance.json": provenance.to_bytes(),
        "reports/backtest.json": b'{"golden":true}',
        "reports/gates.json": gates().to_bytes(),
        "reports/model_card.md": b"# Model card: golden\n",
        "reports/parity.json": b'{"golden":true}',
        "risk_limits.toml": (ROOT / "config" / "risk_limits.toml").read_bytes(),
        "strategy.toml": strategy_text().encode(),
    }


def approval_of(digest: str, gates_sha256: str) -> Approval:
    """The golden approval."""
    return Approval(digest, SLOT, "paper", Decimal(1), NOT_BEFORE, EXPIRES, SERIAL, gates_sha256)


@dataclass
class Cases:
    """The list of damages."""

    files: dict[str, bytes]
    digest: str
    approval: Approval
    facts: dict[str, Any]
    listed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, *damage: dict[str, Any], **asked: Any) -> None:  # noqa: ANN401 - a value of JSON
        """A case: damages to a copy of the store, and how the verdict is asked for."""
        defaults = {
            "digest": self.digest,
            "slot": SLOT,
            "stage": "paper",
            "now_ns": NOW,
            "serial_floor": SERIAL - 1,
            "previously_active": None,
            "model": self.facts,
            "only_with_model": False,
        }
        self.listed.append({"name": name, "damage": list(damage), **defaults, **asked})

    def write(self, path: str, content: bytes) -> dict[str, Any]:
        """Another content for a file."""
        return {"do": "write", "path": path, "base64": base64.b64encode(content).decode()}

    def file(self, path: str) -> str:
        """Where a file of the golden bundle lies."""
        return f"sha256-{self.digest}/{path}"

    def signature(self, role: str, digest: str | None = None) -> str:
        """Where a statement lies."""
        return f"signatures/{digest or self.digest}/{role}.dsse.json"

    def resigned(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a value of the approval
        """An approval that says something else, signed as it should be."""
        changed = replace(self.approval, **changes)
        return self.write(self.signature("approver"), changed.to_envelope(KEYS["approver"]))

    def signed_by(self, key: SigningKey) -> dict[str, Any]:
        """The approval, by another key."""
        return self.write(self.signature("approver"), self.approval.to_envelope(key))

    def other(self, manifest: bytes, files: dict[str, bytes]) -> tuple[list[dict[str, Any]], str]:
        """A bundle with other content, signed by both as it should be: what to do, and its digest."""
        digest = sha256_hex(manifest)
        to = f"sha256-{digest}"
        steps: list[dict[str, Any]] = [{"do": "copy", "path": to, "from": f"sha256-{self.digest}"}]
        steps += [self.write(f"{to}/{path}", found) for path, found in files.items() if found != self.files.get(path)]
        steps.append(self.write(f"{to}/manifest.json", manifest))
        gates_sha256 = sha256_hex(files.get("reports/gates.json", self.files["reports/gates.json"]))
        approval = replace(self.approval, digest=digest, gates_sha256=gates_sha256)
        steps.append(self.write(self.signature("builder", digest), builder_envelope(digest, KEYS["builder"])))
        steps.append(self.write(self.signature("approver", digest), approval.to_envelope(KEYS["approver"])))
        return steps, digest

    def rebuilt(self, name: str, changes: dict[str, bytes], **asked: Any) -> None:  # noqa: ANN401 - a value of JSON
        """A case: other files, with a manifest and signatures that fit them."""
        files = {**self.files, **changes}
        manifest = Manifest.of(files, name=NAME, version=VERSION, instrument=INSTRUMENT).to_bytes()
        steps, digest = self.other(manifest, files)
        self.add(name, *steps, digest=digest, **asked)

    def respelled(self, name: str, manifest: bytes) -> None:
        """A case: another manifest, with signatures that fit it."""
        steps, digest = self.other(manifest, self.files)
        self.add(name, *steps, digest=digest)


def add_files(cases: Cases) -> None:
    """Damages to the folder."""
    flip = {"do": "flip", "path": cases.file("model.onnx"), "at": 700}
    cases.add("good")
    cases.add("changed_byte_in_the_model", flip)
    cases.add("changed_byte_in_the_limits", {"do": "flip", "path": cases.file("risk_limits.toml"), "at": 100})
    cases.add("changed_byte_in_the_manifest", {"do": "flip", "path": cases.file("manifest.json"), "at": 30})
    cases.add("longer_file", cases.write(cases.file("reports/parity.json"), b'{"golden":true}\n'))
    cases.add("extra_file", cases.write(cases.file("model.pkl"), b"x"))
    cases.add("extra_hidden_file", cases.write(cases.file(".git/config"), b"x"))
    cases.add("extra_report", cases.write(cases.file("reports/notes.md"), b"x"))
    cases.add("missing_file", {"do": "remove", "path": cases.file("golden.bin")})
    cases.add("missing_bundle", digest="00" * 32)
    outside = cases.write("elsewhere.onnx", cases.files["model.onnx"])
    remove = {"do": "remove", "path": cases.file("model.onnx")}
    link = {"do": "symlink", "path": cases.file("model.onnx"), "to": "../elsewhere.onnx"}
    cases.add("symlink", outside, remove, link)
    cases.add("hardlink", {"do": "hardlink", "path": "elsewhere.onnx", "to": cases.file("model.onnx")})
    move = {"do": "copy", "path": "reports", "from": cases.file("reports")}
    clear = {"do": "remove", "path": cases.file("reports")}
    cases.add("linked_folder", move, clear, {"do": "symlink", "path": cases.file("reports"), "to": "../reports"})
    copied = {"do": "copy", "path": "bundle", "from": f"sha256-{cases.digest}"}
    gone = {"do": "remove", "path": f"sha256-{cases.digest}"}
    cases.add("linked_bundle", copied, gone, {"do": "symlink", "path": f"sha256-{cases.digest}", "to": "bundle"})
    cases.add("folder_for_a_file", remove, cases.write(cases.file("model.onnx/x"), b"x"))


def add_manifests(cases: Cases) -> None:
    """Manifests that are no canonical list of the layout, signed by both all the same."""
    manifest = json.loads(Manifest.of(cases.files, name=NAME, version=VERSION, instrument=INSTRUMENT).to_bytes())

    def listed(**changes: Any) -> bytes:  # noqa: ANN401 - a value of JSON
        return canonical_json({**manifest, **changes})

    def first_path(path: str) -> bytes:
        first, *others = manifest["files"]
        return listed(files=[{**first, "path": path}, *others])

    cases.respelled("path_out_of_the_bundle", first_path("../elsewhere.onnx"))
    cases.respelled("absolute_path", first_path("/etc/passwd"))
    cases.respelled("unknown_path", first_path("extra.json"))
    cases.respelled("unlisted_file", listed(files=manifest["files"][1:]))
    cases.respelled("unsorted_files", listed(files=manifest["files"][::-1]))
    cases.respelled("file_listed_twice", listed(files=[manifest["files"][0], *manifest["files"]]))
    cases.respelled("unknown_field", listed(created_at="2022-01-01"))
    cases.respelled("missing_field", canonical_json({k: v for k, v in manifest.items() if k != "instrument"}))
    cases.respelled("repeated_field", listed().replace(b'"name":', b'"name":"other","name":', 1))
    cases.respelled("spaces", json.dumps(manifest, sort_keys=True).encode())
    cases.respelled("line_break_at_the_end", listed() + b"\n")
    cases.respelled("other_schema", listed(schema_version=2))
    cases.respelled("newer_engine", listed(min_engine_version="99.0.0"))
    cases.respelled("strange_name", listed(name="../golden"))
    cases.respelled("fractional_size", first_path("features.json").replace(b'"size":', b'"size":0.5e1', 1))


def add_signatures(cases: Cases) -> None:
    """Statements that are missing, or signed by the wrong key."""
    approver = cases.signature("approver")
    golden = cases.approval.to_envelope(KEYS["approver"])
    cases.add("only_the_builder_signed", {"do": "remove", "path": approver})
    cases.add("only_the_approver_signed", {"do": "remove", "path": cases.signature("builder")})
    cases.add("nobody_signed", {"do": "remove", "path": "signatures"})
    cases.add("one_key_in_both_roles", cases.signed_by(KEYS["builder"]))
    cases.add("approved_by_an_operator", cases.signed_by(KEYS["operator"]))
    cases.add("approved_by_a_stranger", cases.signed_by(KEYS["stranger"]))
    builder = cases.write(cases.signature("builder"), builder_envelope(cases.digest, KEYS["approver"]))
    cases.add("roles_exchanged", builder, cases.signed_by(KEYS["builder"]))
    foreign = cases.approval.to_envelope(KEYS["stranger"])
    claimed = foreign.replace(KEYS["stranger"].key_id.encode(), KEYS["approver"].key_id.encode())
    cases.add("signed_by_a_stranger_in_the_approvers_name", cases.write(approver, claimed))
    outer = json.loads(golden)
    larger = canonical_json({**json.loads(base64.b64decode(outer["payload"])), "serial": SERIAL + 1})
    payload = base64.b64encode(larger).decode()
    cases.add("changed_after_signing", cases.write(approver, canonical_json({**outer, "payload": payload})))
    twice = canonical_json({**outer, "signatures": outer["signatures"] * 2})
    cases.add("two_signatures_in_one_envelope", cases.write(approver, twice))
    cases.add("no_signature", cases.write(approver, canonical_json({**outer, "signatures": []})))
    cases.add("builders_statement_as_approval", cases.write(approver, builder_envelope(cases.digest, KEYS["approver"])))
    cases.add("not_an_envelope", cases.write(approver, b"{}"))
    cases.add("huge_envelope", cases.write(approver, b" " * (16 * 1024 + 1)))
    keep = {"do": "copy", "path": "kept.json", "from": approver}
    link = {"do": "symlink", "path": approver, "to": "../../kept.json"}
    cases.add("linked_signature", keep, {"do": "remove", "path": approver}, link)
    other = cases.write(cases.signature("builder"), builder_envelope("ab" * 32, KEYS["builder"]))
    cases.add("built_another_bundle", other)


def add_approvals(cases: Cases) -> None:
    """Approvals for something else, or for another time."""
    cases.add("approved_another_bundle", cases.resigned(digest="ab" * 32))
    cases.add("approved_for_another_slot", cases.resigned(slot=2))
    cases.add("approved_for_another_stage", stage="live_10")
    cases.add("stage_above_the_keys", cases.resigned(stage="live_10", size_scale=Decimal("0.1")), stage="live_10")
    senior = replace(cases.approval, stage="live_10", size_scale=Decimal("0.1")).to_envelope(SENIOR)
    cases.add("stage_above_the_builders_key", cases.write(cases.signature("approver"), senior), stage="live_10")
    cases.add("too_large_for_its_stage", cases.resigned(stage="live_10", size_scale=Decimal("0.5")), stage="live_10")
    cases.add("no_size", cases.resigned(size_scale=Decimal(0)))
    cases.add("more_than_the_full_size", cases.resigned(size_scale=Decimal("1.5")))
    cases.add("ends_before_it_begins", cases.resigned(expires_ns=NOT_BEFORE))
    cases.add("stands_as_long_as_allowed", cases.resigned(expires_ns=NOT_BEFORE + MAX_VALID_NS))
    cases.add("stands_for_too_long", cases.resigned(expires_ns=NOT_BEFORE + MAX_VALID_NS + 1))
    cases.add("stands_for_ever", cases.resigned(expires_ns=2**63 - 1, not_before_ns=-(2**63)))
    cases.add("serial_zero", cases.resigned(serial=0), serial_floor=0)
    cases.add("not_yet_valid", now_ns=NOT_BEFORE - 1)
    cases.add("valid_from_its_first_nanosecond", now_ns=NOT_BEFORE)
    cases.add("valid_to_its_last_nanosecond", now_ns=EXPIRES - 1)
    cases.add("expired", now_ns=EXPIRES)
    cases.add("equal_serial", serial_floor=SERIAL)
    cases.add("lower_serial", serial_floor=SERIAL + 3)
    cases.add("back_to_what_ran_before", serial_floor=SERIAL + 3, previously_active=["ab" * 32, cases.digest])
    cases.add("back_to_what_never_ran", previously_active=["ab" * 32])
    cases.add("back_to_what_has_expired", previously_active=[cases.digest], now_ns=EXPIRES)
    cases.add("approved_other_gates", cases.resigned(gates_sha256="ab" * 32))
    inner = {**vars(cases.approval), "size_scale": "1", "note": "please"}
    asked = envelope(APPROVAL_TYPE, canonical_json(inner), KEYS["approver"])
    cases.add("approval_with_an_unknown_field", cases.write(cases.signature("approver"), asked))
    wrong_role = envelope(BUILDER_TYPE, canonical_json({"digest": cases.digest, "role": "approver"}), KEYS["builder"])
    cases.add("builder_as_approver", cases.write(cases.signature("builder"), wrong_role))


def add_contents(cases: Cases) -> None:
    """Files that do not fit each other, or the policy, in a bundle that is signed by both."""
    text = cases.files["strategy.toml"].decode()
    swapped = text.replace('"rsi_14", "ret_1"', '"ret_1", "rsi_14"')
    cases.rebuilt("wrong_feature_order_in_the_strategy", {"strategy.toml": swapped.encode()})
    typo = text.replace("entry_threshold", "entry_treshold")
    cases.rebuilt("typo_in_the_strategy", {"strategy.toml": typo.encode()})
    bare = "\n".join(line for line in text.splitlines() if "daily_volatility" not in line)
    cases.rebuilt("no_volatility", {"strategy.toml": bare.encode()})
    other_bar = text.replace("bar_seconds = 900", "bar_seconds = 300")
    cases.rebuilt("other_bar", {"strategy.toml": other_bar.encode()})
    other_version = text.replace(f'version = "{VERSION}"', 'version = "1.0.1"')
    cases.rebuilt("other_version", {"strategy.toml": other_version.encode()})
    elsewhere = text.replace('path = "model.onnx"', 'path = "golden.bin"')
    cases.rebuilt("model_elsewhere", {"strategy.toml": elsewhere.encode()})
    looser = cases.files["risk_limits.toml"].replace(b"max_leverage = 3.0", b"max_leverage = 4.0")
    cases.rebuilt("looser_limits", {"risk_limits.toml": looser})
    provenance = json.loads(cases.files["provenance.json"])
    foreign = canonical_json({**provenance, "feature_spec_sha256": "ab" * 32})
    cases.rebuilt("foreign_spec_in_the_provenance", {"provenance.json": foreign})
    nothing = canonical_json({**provenance, "tables": []})
    cases.rebuilt("made_from_nothing", {"provenance.json": nothing})
    spaced = json.dumps(json.loads(cases.files["features.json"])).encode()
    cases.rebuilt("features_not_canonical", {"features.json": spaced})
    spec = sha256_hex(cases.files["features.json"])
    for name, facts in (
        ("wrong_feature_order_in_the_model", {**cases.facts, "feature_names": ["ret_1", "rsi_14"]}),
        ("foreign_spec_in_the_model", {**cases.facts, "feature_spec_sha256": "ab" * 32}),
        ("another_bundles_model", {**cases.facts, "name": "other"}),
    ):
        onnx = model(tuple(facts["feature_names"]), facts["feature_spec_sha256"], facts["name"])
        cases.rebuilt(name, {"model.onnx": onnx, "golden.bin": write_golden(onnx, sample(1_000))}, model=facts)
    golden = bytearray(cases.files["golden.bin"])
    golden[-8] ^= 1  # the lowest bit of the last row's raw score
    cases.rebuilt("golden_row_of_another_model", {"golden.bin": bytes(golden)}, only_with_model=True)
    cases.rebuilt("no_golden_rows", {"golden.bin": bytes(golden[:24])}, only_with_model=True)
    cases.rebuilt("damaged_model", {"model.onnx": cases.files["model.onnx"][:-9]}, only_with_model=True)
    assert spec == cases.facts["feature_spec_sha256"]


def main() -> None:
    """Write everything."""
    files = content()
    store = BundleStore(FOLDER / "store")
    shutil.rmtree(store.root, ignore_errors=True)
    built = build_bundle(store, files, name=NAME, version=VERSION, instrument=INSTRUMENT)
    approval = approval_of(built.digest, sha256_hex(files["reports/gates.json"]))
    store.put_signature(built.digest, "builder", builder_envelope(built.digest, KEYS["builder"]))
    store.put_approval(approval, approval.to_envelope(KEYS["approver"]))
    trusted = "\n".join(
        [
            *(TrustedKey(key.key_id, role, "paper", key.public_key_pem).to_toml()
              for role, key in KEYS.items() if role != "stranger"),
            TrustedKey(SENIOR.key_id, "approver", "live_100", SENIOR.public_key_pem).to_toml(),
        ]
    )  # fmt: skip
    policy = (ROOT / "config" / "risk_limits.toml").read_text(encoding="utf-8")
    facts = {
        "name": NAME,
        "feature_names": list(FEATURES),
        "feature_spec_sha256": hashlib.sha256(files["features.json"]).hexdigest(),
    }
    cases = Cases(files, built.digest, approval, facts)
    for add in (add_files, add_manifests, add_signatures, add_approvals, add_contents):
        add(cases)
    (FOLDER / "trusted_keys.toml").write_text(trusted, encoding="utf-8")
    (FOLDER / "policy.toml").write_text(policy, encoding="utf-8")
    lines = ",\n".join(json.dumps(case, sort_keys=True) for case in cases.listed)
    (FOLDER / "cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
