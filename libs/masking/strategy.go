package masking

// Strategy says what becomes of a masked value.
type Strategy string

// The strategies, from the most lenient to the strictest.
const (
	Clear   Strategy = "clear"   // shown, and an exception to detectors; columns only
	Partial Strategy = "partial" // a hint of the value stays
	Token   Strategy = "token"   // deterministic, reversible by the gateway alone
	Hash    Strategy = "hash"    // keyed, not reversible
	Redact  Strategy = "redact"  // a constant
	Null    Strategy = "null"    // NULL
)

// Strategies returns all strategies, from the most lenient to the strictest.
func Strategies() []Strategy { return []Strategy{Clear, Partial, Token, Hash, Redact, Null} }

// strictness orders the strategies; -1 is unknown.
func strictness(s Strategy) int {
	for i, known := range Strategies() {
		if s == known {
			return i
		}
	}
	return -1
}

// stricter returns the stricter of two strategies; the empty one is the most
// lenient of all.
func stricter(a, b Strategy) Strategy {
	if strictness(b) > strictness(a) {
		return b
	}
	return a
}

// redacted is what replaces a value whole.
const redacted = "[redacted]"

// redactedAs is what replaces what a detector found.
func redactedAs(detector string) string { return "[redacted:" + detector + "]" }

// text applies a strategy to a text value. ok is false for NULL. kind is the
// detector that found the value, or empty for a whole cell of a masked column.
func (k *keys) text(s Strategy, kind string, value []byte) (masked []byte, ok bool) {
	switch s {
	case Clear:
		return value, true
	case Partial:
		return partial(kind, value), true
	case Token:
		if k != nil {
			return k.token(value), true
		}
	case Hash:
		if k != nil {
			return k.hash(value), true
		}
	case Null:
		return nil, false
	case Redact:
	}
	// Without a key, and for whatever is not known, the value goes whole.
	if kind != "" {
		return []byte(redactedAs(kind)), true
	}
	return []byte(redacted), true
}
