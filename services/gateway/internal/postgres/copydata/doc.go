// Package copydata reads the data of a COPY TO STDOUT as it streams by, row by
// row, and masks cells of it: in the formats text, csv and binary of
// https://www.postgresql.org/docs/current/sql-copy.html.
//
// Rows may be cut into CopyData messages anywhere. What a server would not
// write is an error, never a guess: where rows and cells begin decides what is
// masked.
package copydata
