package scope

import (
	"iter"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Names returns the strings of a list of name parts.
func Names(nodes []*pg.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		if s, ok := n.GetNode().(*pg.Node_String_); ok {
			out = append(out, s.String_.GetSval())
		}
	}
	return out
}

// Below yields the messages that m holds, in the order of the grammar.
func Below(m protoreflect.Message) iter.Seq[protoreflect.Message] {
	return func(yield func(protoreflect.Message) bool) {
		if n, ok := m.Interface().(*pg.Node); ok { // has one of 270 fields: do not ask for each
			if n.GetNode() != nil {
				yield(m.Get(m.WhichOneof(m.Descriptor().Oneofs().Get(0))).Message())
			}
			return
		}
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			fd := fields.Get(i)
			if fd.Message() == nil || !m.Has(fd) {
				continue
			}
			if !fd.IsList() {
				if !yield(m.Get(fd).Message()) {
					return
				}
				continue
			}
			list := m.Get(fd).List()
			for j := range list.Len() {
				if !yield(list.Get(j).Message()) {
					return
				}
			}
		}
	}
}
