// Package clickhouse holds the audit store's schema: migrations in goose's
// format, optional statements for what not every server has, and the named
// queries that people run with `clickhouse client` as they are. No logic.
package clickhouse

import "embed"

// Migrations are the files of migrations/, in ClickHouse's dialect. They go
// forward only, and each statement may run more than once.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Optional are statements that a server may refuse without harm.
//
//go:embed optional/*.sql
var Optional embed.FS

// Queries are the named queries.
//
//go:embed queries/*.sql
var Queries embed.FS
