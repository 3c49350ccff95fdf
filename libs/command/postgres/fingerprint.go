package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// fingerprint is equal for statements that differ in literals, white space,
// comments, and the case of unquoted names only: 128 bits of a SHA-256 over
// the other tokens. Unlike libpg_query's, which leaves out casts, aliases and
// the length of lists, it is fit to say that an approved shape is this one.
func fingerprint(sql string, toks []token) string {
	h := sha256.New()
	for _, t := range toks {
		if t.kind == tokComment {
			continue
		}
		if _, ok := constant(sql, t); ok {
			h.Write([]byte("?\x00"))
			continue
		}
		text := t.text(sql)
		if t.kind == tokWord && !strings.ContainsRune(text, '"') {
			text = strings.ToLower(text)
		}
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
