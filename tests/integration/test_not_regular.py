"""A link that takes a complete file's place before it is claimed: refused, not followed, and nothing stands still."""

from daemon import claims


def test_a_link_put_in_a_files_place_is_refused(service, tmp_path):
    made = service(settle={"quiet_seconds": 0, "ready_on": "close"})
    made.folders.make()
    secret = tmp_path / "secret.csv"
    secret.write_text("date,product_id,channel,quantity_sold,revenue\n2025-01-01,SECRET,pos,1,1\n")
    (made.folders.inbox / "sales_data_20250101.csv").symlink_to(secret)
    claim = claims.take(made.folders, "sales_data_20250101.csv")
    assert claim is not None
    claims.abandon(claim)

    summary = made.drain()

    assert (summary.refused, summary.loaded) == (1, 0)
    row = made.store.delivery(1)
    assert row["error_details"]["reason"] == "not_regular"
    assert (made.folders.errors / "sales_data_20250101.csv").is_symlink()
    assert secret.exists()
