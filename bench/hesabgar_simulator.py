"""How fast the Hesabgar simulator answers: rows read by pymssql, documents posted, memory.

``python bench/hesabgar_simulator.py [rows]``. The simulator runs as a process of its own, so that neither waits for the
other's interpreter. What is measured is the simulator and pymssql together: no SQL Server, and not yet the hub.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pymssql

ROOT = Path(__file__).parents[1]


def memory(pid: int) -> int:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) // 1_024 if found else 0


def read(cursor: "pymssql.Cursor", text: str) -> None:
    """Time one query."""
    started = time.perf_counter()
    cursor.execute(text)
    rows = 0
    while found := cursor.fetchmany(5_000):
        rows += len(found)
    seconds = time.perf_counter() - started
    print(f"{rows:>8} rows in {seconds:6.2f} s = {rows / seconds:>9,.0f} rows/s   {text}")


def post(cursor: "pymssql.Cursor", documents: int) -> None:
    """Time posting invoices of three lines, one after another."""
    lines = "".join(
        f'<line number="{at}" product="1000{at + 100:07d}" warehouse="01" quantity="0.00001" unit_price="1"/>'
        for at in (1, 2, 3)
    )
    started = time.perf_counter()
    for at in range(documents):
        cursor.execute(
            "EXEC hub.post_document @external_id = %s, @kind = 'sales_order', @date = '20260601', "
            "@account = N'212010003', @lines = %s",
            (f"bench-order-{at}", f"<lines>{lines}</lines>"),
        )
        cursor.fetchall()
    print(f"{documents / (time.perf_counter() - started):8.0f} orders posted a second (3 lines each, one connection)")
    started = time.perf_counter()
    for at in range(documents):
        cursor.execute(
            "EXEC hub.post_document @external_id = %s, @kind = 'goods_receipt', @date = '20260601', @lines = %s",
            (f"bench-receipt-{at}", f"<lines>{lines}</lines>"),
        )
        cursor.fetchall()
    print(f"{documents / (time.perf_counter() - started):8.0f} goods receipts posted a second (3 lines, stock moves)")
    line = (
        '<line number="1" product="10000300101" warehouse="01" quantity="0.00001" unit_price="100000" net="100000" '
        'vat="6000" duty="3000" payable="109000"/>'
    )
    started = time.perf_counter()
    for at in range(documents):
        cursor.execute(
            "EXEC hub.post_document @external_id = %s, @kind = 'sales_invoice', @date = '20260601', "
            "@account = N'212010003', @lines = %s, @net = 100000, @vat = 6000, @duty = 3000, @payable = 109000, "
            "@vat_account = N'230101', @duty_account = N'230201'",
            (f"bench-sale-{at}", f"<lines>{line}</lines>"),
        )
        cursor.fetchall()
    print(f"{documents / (time.perf_counter() - started):8.0f} sales posted a second (1 line, stock and voucher)")


def main() -> int:
    """Run the bench and print."""
    rows = sys.argv[1] if len(sys.argv) > 1 else "200000"
    process = subprocess.Popen(
        [sys.executable, "-m", "connectors.hesabgar.simulator", "--port", "0", "--stock-rows", rows],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        started = time.perf_counter()
        port = process.stdout.readline().split(":")[2].split(",")[0]
        print(f"started in {time.perf_counter() - started:.1f} s, {memory(process.pid)} MB")
        connection = pymssql.connect(
            server="127.0.0.1", port=port, user="hub", password="hub-1405", database="cy140501", autocommit=True
        )
        cursor = connection.cursor()
        read(cursor, "SELECT * FROM hub.stock")
        read(cursor, "SELECT * FROM hub.stock WHERE row_version >= 100000000")
        read(cursor, "SELECT * FROM hub.stock WHERE product = N'10000300101'")
        read(cursor, "SELECT * FROM hub.products")
        read(cursor, "SELECT * FROM hub.customer_finance WHERE account = N'212010003'")
        post(cursor, 500)
        print(f"{memory(process.pid)} MB at the end")
        connection.close()
    finally:
        process.terminate()
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
