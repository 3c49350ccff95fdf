package masking

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

// PostgreSQL's type ids (pg_type.dat) of what parameters mostly are.
const (
	oidBool        = 16
	oidBytes       = 17
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidJSON        = 114
	oidXML         = 142
	oidFloat4      = 700
	oidFloat8      = 701
	oidUnknown     = 705
	oidBPChar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// kindOf names a type as a scrubbed value shows it.
func kindOf(oid uint32) string {
	switch oid {
	case oidInt2, oidInt4, oidInt8, oidFloat4, oidFloat8, oidNumeric, oidOID:
		return "number"
	case oidBool:
		return "boolean"
	case oidBytes:
		return "bytes"
	default:
		return "text"
	}
}

var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// binaryText returns the text form of a value in PostgreSQL's binary format. ok
// is false where the type is not known here, or the bytes are not of it.
func binaryText(oid uint32, b []byte) (text string, ok bool) {
	switch oid {
	case oidText, oidVarchar, oidBPChar, oidName, oidUnknown, oidJSON, oidXML, oidChar:
		return string(b), true
	case oidBytes:
		return `\x` + hex.EncodeToString(b), true
	case oidJSONB:
		if len(b) > 0 && b[0] == jsonbVersion {
			return string(b[1:]), true
		}
		return "", false
	case oidNumeric:
		return numericText(b)
	}
	switch len(b) {
	case 1:
		return strconv.FormatBool(b[0] != 0), oid == oidBool
	case 2:
		return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))), oid == oidInt2 //nolint:gosec // two's complement on the wire
	case 4:
		return fourBytes(oid, binary.BigEndian.Uint32(b))
	case 8:
		return eightBytes(oid, binary.BigEndian.Uint64(b))
	case 16:
		h := hex.EncodeToString(b)
		return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-"), oid == oidUUID
	}
	return "", false
}

func fourBytes(oid, v uint32) (string, bool) {
	signed := int32(v) //nolint:gosec // two's complement on the wire
	switch oid {
	case oidInt4:
		return strconv.Itoa(int(signed)), true
	case oidOID:
		return strconv.FormatUint(uint64(v), 10), true
	case oidFloat4:
		return strconv.FormatFloat(float64(math.Float32frombits(v)), 'g', -1, 32), true
	case oidDate:
		switch signed {
		case math.MaxInt32:
			return "infinity", true
		case math.MinInt32:
			return "-infinity", true
		}
		return postgresEpoch.AddDate(0, 0, int(signed)).Format(time.DateOnly), true
	}
	return "", false
}

func eightBytes(oid uint32, v uint64) (string, bool) {
	signed := int64(v) //nolint:gosec // two's complement on the wire
	switch oid {
	case oidInt8:
		return strconv.FormatInt(signed, 10), true
	case oidFloat8:
		return strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64), true
	case oidTime:
		return time.UnixMicro(signed).UTC().Format("15:04:05.999999"), true
	case oidTimestamp, oidTimestampTZ:
		switch signed {
		case math.MaxInt64:
			return "infinity", true
		case math.MinInt64:
			return "-infinity", true
		}
		// Seconds and the rest apart: microseconds overflow a time.Duration.
		at := time.Unix(postgresEpoch.Unix()+signed/1e6, signed%1e6*1e3).UTC()
		if oid == oidTimestamp {
			return at.Format("2006-01-02 15:04:05.999999"), true
		}
		return at.Format("2006-01-02 15:04:05.999999Z07:00"), true
	}
	return "", false
}

// numericText reads numeric_send's form: counts of base-10000 digits, weight of
// the first, sign, digits behind the point, then the digits.
func numericText(b []byte) (string, bool) {
	if len(b) < 8 {
		return "", false
	}
	word := func(i int) int { return int(binary.BigEndian.Uint16(b[2*i:])) }
	count, weight, sign, scale := word(0), int(int16(word(1))), word(2), word(3) //nolint:gosec // two's complement on the wire
	switch sign {
	case 0xC000:
		return "NaN", true
	case 0xD000:
		return "Infinity", true
	case 0xF000:
		return "-Infinity", true
	}
	if len(b) != 8+2*count || sign != 0 && sign != 0x4000 || scale > 0x3FFF {
		return "", false
	}
	digit := func(i int) string {
		v := 0
		if i >= 0 && i < count {
			v = word(4 + i)
		}
		return strconv.Itoa(10000 + v)[1:]
	}
	var whole, rest strings.Builder
	for i := 0; i <= weight; i++ {
		whole.WriteString(digit(i))
	}
	for i := weight + 1; rest.Len() < scale; i++ {
		rest.WriteString(digit(i))
	}
	text := strings.TrimLeft(whole.String(), "0")
	if text == "" {
		text = "0"
	}
	if scale > 0 {
		text += "." + rest.String()[:scale]
	}
	if sign == 0x4000 {
		text = "-" + text
	}
	return text, true
}
