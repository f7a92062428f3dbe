// Package pgserver is a PostgreSQL of a test's own.
package pgserver

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Start starts a server of the test's own on a free port, and gives its URL.
func Start(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Skip("PostgreSQL is not installed")
	}
	programs := filepath.Dir(slices.Max(found))
	data, err := os.MkdirTemp("", "pilot-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	run := func(program string, args ...string) { t.Helper(); run(t, programs, data, program, args...) }
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	cluster := filepath.Join(data, "cluster")
	run("initdb", "-D", cluster, "-A", "trust", "-U", "pilot", "--no-sync")
	options := fmt.Sprintf("-p %d -c listen_addresses=127.0.0.1 -k %s", port, data)
	run("pg_ctl", "-D", cluster, "-w", "-l", filepath.Join(data, "log"), "-o", options, "start")
	t.Cleanup(func() { run("pg_ctl", "-D", cluster, "-m", "immediate", "stop") })
	return fmt.Sprintf("postgres://pilot@127.0.0.1:%d/postgres?sslmode=disable", port)
}

// run runs a program of the server's, as a user that it accepts.
func run(t testing.TB, programs, data, program string, args ...string) {
	t.Helper()
	command := exec.Command(filepath.Join(programs, program), args...)
	command.Dir = data
	// The server refuses to run as root.
	if other, err := user.Lookup("postgres"); err == nil && os.Geteuid() == 0 {
		uid, _ := strconv.Atoi(other.Uid)
		gid, _ := strconv.Atoi(other.Gid)
		if err := os.Chown(data, uid, gid); err != nil {
			t.Fatal(err)
		}
		command.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, //nolint:gosec // from the system
		}
	}
	// To a file: the server keeps what it is given open.
	log, err := os.CreateTemp("", "pilot-postgres-log-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(log.Name())
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Run(); err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("%s: %v\n%s", program, err, text)
	}
}

// Restart starts the server of a connection again. The modes are those of `pg_ctl stop`.
func Restart(t testing.TB, db *sql.DB, mode string) {
	t.Helper()
	var cluster string
	if err := db.QueryRowContext(t.Context(), `SHOW data_directory`).Scan(&cluster); err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(programs) == 0 {
		t.Fatal("PostgreSQL is not installed any more")
	}
	data := filepath.Dir(cluster)
	run(t, filepath.Dir(slices.Max(programs)), data, "pg_ctl", "-D", cluster, "-m", mode, "-w", "-l", filepath.Join(data, "log"), "restart")
}

// Alias gives another URL of the same database: to whoever knows stores by their URL, it is another process's.
func Alias(url string) string { return url + "&application_name=another" }

// Open gives a connection to the database that a URL names, by the driver that stores use.
func Open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Rows gives all that the table of the stacks holds, by key.
func Rows(t testing.TB, db *sql.DB) map[string]string {
	t.Helper()
	found, err := db.QueryContext(t.Context(), `SELECT key, data::text || updated_at::text FROM pulumi_state`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	rows := map[string]string{}
	for found.Next() {
		var key, row string
		if err := found.Scan(&key, &row); err != nil {
			t.Fatal(err)
		}
		rows[key] = row
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Same fails the test where the table does not hold what it held.
func Same(t testing.TB, before, after map[string]string) {
	t.Helper()
	for key, row := range before {
		if after[key] != row {
			t.Errorf("%s was\n%s\nand is\n%s", key, row, after[key])
		}
	}
	for key, row := range after {
		if _, was := before[key]; !was {
			t.Errorf("%s is new:\n%s", key, row)
		}
	}
}
