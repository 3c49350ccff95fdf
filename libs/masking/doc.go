// Package masking is the masking engine: it compiles masking files, masks the
// cells of results by column rule and by detector, scrubs command text,
// parameters and error messages before they are recorded, and takes the second,
// deeper look at a record. It does no I/O and holds no global state.
//
// # Which rule wins
//
// A column rule beats every detector on its column; of several column rules on
// one column the strictest wins (null > redact > hash > token > partial >
// clear). A column under `clear` is shown to no detector. A value that may
// derive from a masked column, though its origin cannot be told, is tainted: it
// is redacted whole, whatever the strategy of the column.
//
// # What a mask looks like
//
//	redact   [redacted], or [redacted:email] where a detector found it
//	partial  d•••@•••.example, •••• 4242, D•••
//	hash     gsh_ and 24 hex digits, keyed: equal values stay equal
//	token    gst_ and base32: equal values stay equal, and the gateway alone can undo it
//	null     NULL
//
// Values that are no text (numbers, dates) become NULL in text format under any
// strategy; in binary format they are refused (GS1204), but for strategy null.
//
// No output of a strategy is found by a detector again: masking is idempotent.
package masking
