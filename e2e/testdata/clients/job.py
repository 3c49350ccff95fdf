"""The job of every client, with psycopg2 or psycopg (3): argv[1] says which.

Where to connect is in libpq's variables. A line on standard input, sent when
the last statement runs at the target, has it cancelled.
"""
import importlib
import sys
import threading

driver = importlib.import_module(sys.argv[1])
me, endless = sys.argv[2:4]
connection = driver.connect("")
connection.autocommit = True
cursor = connection.cursor()


def value(sql, *parameters):
    cursor.execute(sql, parameters or None)
    return cursor.fetchone()[0]


def refusal(sql):
    try:
        cursor.execute(sql)
    except driver.Error as e:
        primary = e.diag.message_primary
        return getattr(e, "pgcode", None) or e.sqlstate, primary
    return "none", ""


cursor.execute("SELECT name, email FROM customers WHERE id = %s", (1,))
print("read:", *cursor.fetchone())
print("written:", value("INSERT INTO notes (author, body) VALUES (%s, %s) RETURNING body", me, "it's \\ ünïcode"))
cursor.execute("BEGIN")
cursor.execute("INSERT INTO notes (author, body) VALUES (%s, %s)", (me, "never"))
cursor.execute("ROLLBACK")
print("rolled back:", value("SELECT count(*) FROM notes WHERE author = %s", me))
print("error:", refusal("SELECT 1/0")[0])
print("after the error:", value("SELECT 1"))
state, message = refusal("CREATE TABLE never (x int)")
print("refused:", state)
print("said:", message)
print("after the refusal:", value("SELECT 2"))


def cancel():
    sys.stdin.readline()
    connection.cancel()


canceller = threading.Thread(target=cancel)
canceller.start()
print("cancelled:", refusal(endless)[0])
canceller.join()
print("after the cancel:", value("SELECT 3"))
connection.close()
