// Package e2e shows Gatestay from outside: the built binaries against real
// PostgreSQL, NATS and ClickHouse, and the rules of the house that a compiler
// does not check (architecture_test.go, house_test.go).
//
// A test is named after what it shows. All of them share one running Gatestay
// (e2e/kit), since starting one costs more than most tests.
package e2e
