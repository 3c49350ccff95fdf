package store

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill sets every field of a message to something that is not zero.
func fill(m protoreflect.Message, n int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			if f.MapValue().Kind() == protoreflect.StringKind {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString(string(f.Name())))
			}
		case f.IsList() && f.Message() != nil:
			fill(m.Mutable(f).List().AppendMutable().Message(), n)
		case f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOfString(string(f.Name())))
		case f.Message() != nil:
			if f.Message().FullName() != "google.protobuf.Timestamp" {
				fill(m.Mutable(f).Message(), n)
			}
		default:
			m.Set(f, scalar(f, n+i))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor, n int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s %d", f.Name(), n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{byte(n + 1)})
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(n + 1))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(n + 1))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	default:
		panic("fill: " + f.Kind().String())
	}
}
