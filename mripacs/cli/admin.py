"""`mripacs admin`: what is kept, whether it is whole, and why an object is kept as it is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mripacs.cli import (
    admin_backup,
    admin_codec,
    admin_conformance,
    admin_delete,
    admin_models,
    admin_repack,
    admin_verify,
)
from mripacs.cli.context import AsJson, open_archive, options_of, print_json, print_table, size
from mripacs.core.model import ArchiveStatistics, Certificate, InstanceIdentity

app = typer.Typer(
    help="Statistics, certificates, verification, deletion, backup, policy, database, preview models.",
    no_args_is_help=True,
)
policy_app = typer.Typer(help="The rules that choose how objects are kept.", no_args_is_help=True)
db_app = typer.Typer(help="The database's schema and space.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(db_app, name="db")
app.add_typer(admin_codec.app, name="codec")
app.add_typer(admin_models.app, name="models")
admin_verify.register(app)
admin_backup.register(app)
admin_repack.register(app)
admin_conformance.register(app)
admin_delete.register(app, db_app)


@app.command()
def stats(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Studies, series, instances, bytes received and kept, by tier, codec, modality, manufacturer and error."""
    with open_archive(ctx) as archive:
        totals = archive.statistics()
    if as_json:
        print_json({**asdict(totals), "ratio": _ratio(totals)})
        return
    kept = totals.payload_bytes + totals.header_bytes + totals.reference_bytes
    counts = [totals.patients, totals.studies, totals.series, totals.instances]
    parts = (totals.received_bytes, kept, totals.payload_bytes, totals.header_bytes, totals.reference_bytes)
    columns = ("patients", "studies", "series", "instances", "received", "kept", "pixels", "headers", "references")
    print_table("Archive", (*columns, "ratio"), [[*counts, *map(size, parts), f"{_ratio(totals):.1f}"]])
    for grouping, rows in totals.by.items():
        print_table(
            f"By {grouping}",
            (grouping, "instances", "received", "pixels", "headers"),
            [_group_row(row) for row in rows],
        )


def _ratio(totals: ArchiveStatistics) -> float:
    kept = totals.payload_bytes + totals.header_bytes + totals.reference_bytes
    return totals.received_bytes / kept if kept else 0.0


def _group_row(row: Any) -> list[object]:
    sizes = [size(row[name]) for name in ("received_bytes", "payload_bytes", "header_bytes")]
    return [row["name"] or "(none)", row["instances"], *sizes]


@app.command()
def show(
    ctx: typer.Context,
    uid: Annotated[str, typer.Argument(help="SOP Instance UID, served or original.")],
    as_json: AsJson = False,
) -> None:
    """The certificate of an instance: digests, codec, target, errors, bytes, generation."""
    with open_archive(ctx) as archive:
        identity = archive.identify(uid)
    if as_json:
        print_json(_identity_json(identity))
        return
    print_table("Instance", ("", ""), _identity_rows(identity))
    frames = identity.certificate.frames
    if frames:
        columns = ("frame", "generation", "step", "K", "relative error", "max error", "PSNR dB")
        print_table("Frames", columns, [[number, *_frame_row(frame)] for number, frame in enumerate(frames, 1)])


def _identity_json(identity: InstanceIdentity) -> dict[str, Any]:
    worst, mean = identity.certificate.worst, _mean_errors(identity.certificate)
    return {
        **asdict(identity),
        "ratio": _instance_ratio(identity),
        "worst_frame": asdict(worst) if worst else None,
        "mean": mean,
    }


def _mean_errors(certificate: Certificate) -> dict[str, float | None]:
    frames = certificate.frames
    finite = [frame.psnr_db for frame in frames if frame.psnr_db is not None]
    return {
        "rel_error": sum(frame.rel_error for frame in frames) / len(frames) if frames else None,
        "max_error": sum(frame.max_error for frame in frames) / len(frames) if frames else None,
        "psnr_db": sum(finite) / len(finite) if finite else None,
    }


def _instance_ratio(identity: InstanceIdentity) -> float:
    return identity.certificate.received_bytes / max(1, identity.payload_bytes + identity.header_bytes)


def _identity_rows(identity: InstanceIdentity) -> list[list[object]]:
    certificate, mean = identity.certificate, _mean_errors(identity.certificate)
    header_received = certificate.received_bytes - certificate.received_pixel_bytes
    rows: list[list[object]] = [
        ["served as", identity.sop_instance_uid],
        ["received as", identity.original_sop_instance_uid],
        ["SOP class", identity.sop_class_uid],
        ["transfer syntax received", identity.transfer_syntax],
        ["received at", identity.received_at],
        ["tier", certificate.tier],
        ["rule", f"{certificate.rule}: {certificate.reason}"],
        ["codec", certificate.codec or "none"],
        ["target", certificate.target or "none"],
        ["generation", certificate.generation],
        ["received bytes come back", "yes" if certificate.restores_received else "no"],
        ["SHA-256 received", certificate.received_digest],
        ["SHA-256 source pixels", certificate.source_pixel_digest or "not decoded"],
        ["SHA-256 decoded pixels", certificate.decoded_pixel_digest or "not coded"],
        [
            "bytes received",
            f"{certificate.received_bytes} ({certificate.received_pixel_bytes} pixels, {header_received} header)",
        ],
        ["bytes kept", f"{identity.payload_bytes} pixels, {identity.header_bytes} header"],
        ["ratio", f"{_instance_ratio(identity):.1f}"],
    ]
    if mean["rel_error"] is not None and certificate.worst:
        rows.append(["relative error", f"{certificate.worst.rel_error:.5f} worst, {mean['rel_error']:.5f} mean"])
    return rows


def _frame_row(frame: Any) -> list[object]:
    return [
        frame.generation,
        "-" if frame.step is None else f"{frame.step:.2f}",
        "-" if frame.k is None else frame.k,
        f"{frame.rel_error:.5f}",
        frame.max_error,
        "exact" if frame.psnr_db is None else f"{frame.psnr_db:.2f}",
    ]


@policy_app.command()
def explain(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A DICOM file.")],
    calling_ae: Annotated[str, typer.Option(help="Title of the sender to assume.")] = "",
    as_json: AsJson = False,
) -> None:
    """Which rule takes a file, and why. Nothing is stored."""
    settings = options_of(ctx).settings()
    from mripacs.archive import explain_policy  # noqa: PLC0415 - `mripacs --help` stays light

    decision = explain_policy(file, settings, calling_ae)
    if as_json:
        print_json(asdict(decision))
    else:
        rows: list[list[object]] = [
            ["rule", decision.rule],
            ["because", decision.reason],
            ["kept", decision.tier],
            ["target", decision.target or "none"],
        ]
        print_table(file.name, ("", ""), rows)


@policy_app.command(name="list")
def list_rules(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The rules in force, in their order: the site's own, then the shipped ones."""
    settings = options_of(ctx).settings()
    from mripacs.ingest.policy import Policy  # noqa: PLC0415 - as above

    rules = [rule.model_dump(exclude_defaults=True) for rule in Policy.from_settings(settings.policy).rules]
    if as_json:
        print_json(rules)
    else:
        rows = [[rule["name"], _conditions(rule.get("when", {})), rule["keep"]] for rule in rules]
        print_table("Policy: the first rule that holds decides", ("rule", "when", "kept"), rows)


def _conditions(when: dict[str, Any]) -> str:
    parts = [f"{name} {', '.join(value) if isinstance(value, tuple) else value}" for name, value in when.items()]
    return "; ".join(parts) or "always"


@db_app.command()
def upgrade(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the database to this version's schema; makes an empty one where there is none."""
    settings = options_of(ctx).settings()
    from mripacs.store import migrate  # noqa: PLC0415 - as above

    revision = migrate.upgrade(settings.database_url)
    print_json({"revision": revision}) if as_json else typer.echo(f"the database is at revision {revision}")


@db_app.command()
def check(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Compare the database with this version's schema. Exit code 78 if they differ."""
    settings = options_of(ctx).settings()
    from mripacs.store import migrate  # noqa: PLC0415 - as above

    differences = migrate.check(settings.database_url)
    if as_json:
        print_json({"differences": differences})
    else:
        typer.echo("\n".join(differences) or "the database has this version's schema")
    if differences:
        raise typer.Exit(78)
