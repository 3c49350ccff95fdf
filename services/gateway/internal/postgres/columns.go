package postgres

import (
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// columns says what the columns of a result are: where each value comes from,
// and what it is. formats are those of a Bind; without them the description's
// own count.
func (s *session) columns(r *run, described []wire.Column, formats []int16) []seam.Column {
	snapshot, _ := s.catalog.Current(s.ctx) // without one, nothing is known of any column
	for _, c := range described {
		if c.Table == 0 || c.Number <= 0 {
			continue
		}
		if _, _, _, ok := snapshot.Catalog.Column(c.Table, c.Number); !ok {
			snapshot, _ = s.catalog.Missed(s.ctx, snapshot) // it may be new
			break
		}
	}
	origins := make([]pgfacts.ColumnRef, len(described))
	for i, c := range described {
		origins[i] = pgfacts.ColumnRef{OID: c.Table, Number: c.Number}
	}
	judged := s.masks(snapshot).Taint(r.facts).Columns(origins)
	columns := make([]seam.Column, len(described))
	for i, c := range described {
		out := &columns[i]
		out.Name = c.Name
		out.Binary = c.Format == 1
		if len(formats) > 0 {
			out.Binary = wire.Format(formats, i) == 1
		}
		out.Kind, out.Element = kindOf(c.Type, out.Binary)
		out.Tainted = judged[i].Tainted
		switch origin := judged[i].Masked; {
		case judged[i].Is:
			out.Origin = seam.MaskedColumn{Schema: origin.Schema, Table: origin.Table, Column: origin.Name}
		case !out.Tainted:
			schema, table, column, ok := snapshot.Catalog.Column(c.Table, c.Number)
			if ok {
				out.Origin = seam.MaskedColumn{Schema: schema, Table: table, Column: column}
			}
		}
	}
	return columns
}

// elements are the types of the elements of PostgreSQL's own arrays of texts and
// documents.
var elements = map[uint32]uint32{
	1009: 25, 1015: 1043, 1014: 1042, 1003: 19, 1263: 2275, // text, varchar, char(n), name, cstring
	143: 142, 199: 114, 3807: 3802, 1001: 17, // xml, json, jsonb, bytea
}

// kindOf says what a value of a type is, and of an array what its elements are,
// with their type. The OIDs of PostgreSQL's own types
// never change: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
func kindOf(oid uint32, binary bool) (kind seam.Kind, element uint32) {
	if element = elements[oid]; element != 0 {
		kind, _ = kindOf(element, binary)
		return kind, element
	}
	return plainKind(oid, binary), 0
}

func plainKind(oid uint32, binary bool) seam.Kind {
	switch oid {
	case 25, 1043, 1042, 19, 142, 705, 2275: // text, varchar, char(n), name, xml, unknown, cstring
		return seam.KindText
	case 114:
		return seam.KindJSON
	case 3802:
		return seam.KindJSONB
	case 17:
		return seam.KindBytes
	}
	if wordless(oid) {
		return seam.KindWordless
	}
	// What else holds text shows it in text format: records, ranges, and
	// the types of extensions.
	if !binary {
		return seam.KindText
	}
	return seam.KindOther
}

// wordless reports a type whose values hold no text of a user: numbers, times,
// identifiers, addresses, shapes, and arrays of these.
func wordless(oid uint32) bool {
	switch oid {
	case 16, 18, 1002, 20, 21, 23, 700, 701, 790, 1700, // bool, "char" and its array, int8, int2, int4, float4, float8, money, numeric
		22, 26, 27, 28, 29, 30, 5069, 2278, // int2vector, oid, tid, xid, cid, oidvector, xid8, void
		24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, // the reg types
		600, 601, 602, 603, 604, 628, 718, // point, lseg, path, box, polygon, line, circle
		650, 869, 829, 774, // cidr, inet, macaddr, macaddr8
		1082, 1083, 1114, 1184, 1186, 1266, // date, time, timestamp, timestamptz, interval, timetz
		1560, 1562, 2950, 3220, 2970, 5038, // bit, varbit, uuid, pg_lsn, txid_snapshot, pg_snapshot
		3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536, // ranges and multiranges of these
		1000, 1005, 1007, 1016, 1021, 1022, 791, 1231, // arrays: bool, int2, int4, int8, float4, float8, money, numeric
		1006, 1013, 1010, 1011, 1012, 271, 2949, 2210, 2207, 2208, 2209, 2211, 4090, 4097, // int2vector, oidvector, tid, xid, cid, xid8, txid_snapshot, reg types
		1017, 1018, 1019, 1020, 1027, 629, 719, 1561, 1563, 3221, // point, lseg, path, box, polygon, line, circle, bit, varbit, pg_lsn
		1028, 1115, 1182, 1183, 1185, 1187, 1270, 2951, 1041, 651, 1040: // oid, timestamp, date, time, timestamptz, interval, timetz, uuid, inet, cidr, macaddr
		return true
	}
	return false
}
