// Package wire is PostgreSQL's frontend/backend protocol, version 3.0, as far
// as a gateway needs it: a Reader that frames messages without copying them, a
// Writer that batches them, and one small file for each message that is read
// or written.
//
// Message types and formats:
// https://www.postgresql.org/docs/current/protocol-message-formats.html
//
// Decoders take the body of a message (what follows the length) and check
// every length in it; encoders append a whole message to a slice. A decoded
// value borrows from the body and is valid as long as that is.
//
// Rows of results are forwarded in blocks: Reader.Frames returns as many whole
// messages as lie in the buffer, to be written as they came, and Reader.Stream
// passes on a message that is larger than any buffer in pieces. Nobody decodes
// a row that no rule touches.
package wire
