"""The two ends of the pipeline on one core: market frames mirrored, and topics exported to Parquet.

Both loops are measured by their own files and only asked for here, each in a process of its own.
"""

from figures import Figure
from stand import measured, shard

MIRROR, EXPORT = "mirror", "export"
CHANGES_AIM, EXPORT_AIM = 500_000, 200_000


def mirror(*, runs: int, tokens: int, frames: int) -> list[Figure]:
    """Changes decoded, echo-checked and mirrored a second, beside what others do."""
    found = measured("mirroring", runs=runs, tokens=tokens, frames=frames)
    figures = []
    for prefix, label in (("", "seeded books"), ("recorded_", "a recorded game")):
        whole = found.get(f"{prefix}changes_per_s")
        if whole is None:
            continue
        spread = (found[f"{prefix}changes_per_s_min"], whole, found[f"{prefix}changes_per_s_max"])
        script = found[f"{prefix}json_and_dicts_changes_per_s"]
        bare = found[f"{prefix}decode_only_changes_per_s"]
        figures.append(
            Figure(
                part=MIRROR,
                name=f"decoded, echo-checked and mirrored, {label}",
                unit="changes/s",
                runs=spread,
                aim_least=CHANGES_AIM,
                ratio=f"{whole / bare:.2f} of decoding, {whole / script:.2f} of json and dicts",
            )
        )
    kb = (found["bytes_per_token"] / 1_000,)
    figures.append(Figure(part=MIRROR, name="held for a token", unit="kB", runs=kb, aim_most=60))
    return figures


def export(bootstrap: str, *, rows: int) -> list[Figure]:
    """Rows a second to Parquet, of flat records and of Depths."""
    figures = []
    for case, count, aim in (
        ("LeaderFills (flat)", rows, EXPORT_AIM),
        ("BookEpoch (short, flat)", rows, EXPORT_AIM),
        ("Depth (20 + 20 levels)", rows // 4, None),
    ):
        with shard(bootstrap) as kafka:
            found = measured(
                "exporting", bootstrap=bootstrap, prefix=kafka.prefix, case=case, rows=count
            )
        cores = int(found["cores"])
        for processes in sorted({1, cores}):
            runs = tuple(found[f"{processes}_{number}"] for number in range(int(found["runs"])))
            figures.append(
                Figure(
                    part=EXPORT,
                    name=f"{case}, {'one process' if processes == 1 else f'{cores} processes'}",
                    unit="rows/s",
                    runs=runs,
                    # What `export --once` does: a process for each core.
                    aim_least=aim if processes == cores else None,
                    ratio=f"{sorted(runs)[len(runs) // 2] / found['bare']:.2f} of the bare loop",
                )
            )
    return figures
