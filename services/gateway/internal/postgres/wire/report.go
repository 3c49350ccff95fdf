package wire

// Field codes of a Report:
// https://www.postgresql.org/docs/current/protocol-error-fields.html
const (
	FieldSeverity      = 'S'
	FieldSeverityFixed = 'V' // never localised
	FieldCode          = 'C'
	FieldMessage       = 'M'
	FieldDetail        = 'D'
	FieldHint          = 'H'
	FieldInternalQuery = 'q'
	FieldWhere         = 'W'
	FieldPosition      = 'P' // in the client's text
	FieldSchema        = 's'
	FieldTable         = 't'
	FieldColumn        = 'c'
	FieldConstraint    = 'n'
)

// Report is the content of an ErrorResponse or a NoticeResponse.
type Report []Field

// Field is one field of a Report.
type Field struct {
	Code  byte
	Value string
}

// Get returns the value of a field, or "".
func (r Report) Get(code byte) string {
	for _, f := range r {
		if f.Code == code {
			return f.Value
		}
	}
	return ""
}

// DecodeReport reads the body of an ErrorResponse or a NoticeResponse.
func DecodeReport(src []byte) (Report, error) {
	b := body{src: src}
	var r Report
	for {
		code := b.byte()
		if b.bad || code == 0 {
			break
		}
		r = append(r, Field{code, string(b.string())})
	}
	return r, b.end()
}

// AppendReport appends a Report as an ErrorResponse or a NoticeResponse.
func AppendReport(dst []byte, typ byte, r Report) []byte {
	dst, at := begin(dst, typ)
	for _, f := range r {
		if f.Value != "" || f.Code == FieldMessage {
			dst = appendString(append(dst, f.Code), f.Value)
		}
	}
	return end(append(dst, 0), at)
}
