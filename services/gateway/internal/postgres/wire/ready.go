package wire

// The states of a transaction in a ReadyForQuery.
const (
	Idle          = 'I'
	InTransaction = 'T'
	Failed        = 'E'
)

// DecodeReadyForQuery reads the state of the transaction.
func DecodeReadyForQuery(src []byte) (byte, error) {
	if len(src) != 1 || (src[0] != Idle && src[0] != InTransaction && src[0] != Failed) {
		return 0, ErrMalformed
	}
	return src[0], nil
}

// AppendReadyForQuery appends a ReadyForQuery.
func AppendReadyForQuery(dst []byte, state byte) []byte {
	return append(dst, ReadyForQuery, 0, 0, 0, 5, state)
}
