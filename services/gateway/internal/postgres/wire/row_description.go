package wire

// Column is one column of a RowDescription.
type Column struct {
	Name   string
	Table  uint32 // OID, 0 where the column is computed
	Number int16  // of the column in its table, 0 where computed
	Type   uint32 // OID
	Format int16  // 0 text, 1 binary; 0 where not yet known
}

// DecodeRowDescription reads the shape of a result.
func DecodeRowDescription(src []byte) ([]Column, error) {
	b := body{src: src}
	n := b.count(19)
	columns := make([]Column, 0, n)
	for range n {
		c := Column{Name: string(b.string()), Table: b.uint32(), Number: b.int16(), Type: b.uint32()}
		b.take(2 + 4) // size and modifier of the type
		c.Format = b.int16()
		columns = append(columns, c)
	}
	return columns, b.end()
}

// DecodeParameterDescription reads the types of a statement's parameters.
func DecodeParameterDescription(src []byte) ([]uint32, error) {
	b := body{src: src}
	n := b.count(4)
	types := make([]uint32, 0, n)
	for range n {
		types = append(types, b.uint32())
	}
	return types, b.end()
}
