package masking

import (
	"strings"
	"testing"
)

func plan(b *testing.B, rules string, c ResultColumn) *Plan {
	b.Helper()
	p, err := engine(b, rules).Plan("prod-db", []ResultColumn{c})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func benchmarkMask(b *testing.B, rules string, c ResultColumn, cell string) {
	p, value := plan(b, rules, c), []byte(cell)
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		p.Mask(0, value)
	}
}

const allDetectors = "masks:\n  - {name: a, detectors: [all], strategy: redact}\n"

// The target: under 300 ns for a clean cell of 40 bytes.
func BenchmarkDetectorsCleanCell(b *testing.B) {
	benchmarkMask(b, allDetectors, ResultColumn{Kind: KindText}, "Alexanderplatz 1, 10178 Berlin, Germany.")
}

func BenchmarkDetectorsDigits(b *testing.B) {
	benchmarkMask(b, allDetectors, ResultColumn{Kind: KindText}, "2026-11-24 12:00:00.123456+00, 0123-4567")
}

func BenchmarkDetectorsMatch(b *testing.B) {
	benchmarkMask(b, allDetectors, ResultColumn{Kind: KindText}, "please write to dana@acme.example today.")
}

func BenchmarkDetectorsCleanJSON(b *testing.B) {
	benchmarkMask(b, allDetectors, ResultColumn{Kind: KindJSON}, `{"id": 17, "city": "Berlin", "tags": ["a", "b"], "note": "nothing here"}`)
}

func BenchmarkDetectorsLargeText(b *testing.B) {
	benchmarkMask(b, allDetectors, ResultColumn{Kind: KindText}, strings.Repeat("Alexanderplatz 1, 10178 Berlin, Germany.\n", 1000))
}

// The target: under 50 ns.
func BenchmarkColumnRedact(b *testing.B) {
	benchmarkMask(b, planRules, column("redact", KindText, false), "dana@acme.example")
}

func BenchmarkColumnPartial(b *testing.B) {
	benchmarkMask(b, planRules, column("partial", KindText, false), "dana@acme.example")
}

func BenchmarkColumnHash(b *testing.B) {
	benchmarkMask(b, planRules, column("hash", KindText, false), "dana@acme.example")
}

func BenchmarkColumnToken(b *testing.B) {
	benchmarkMask(b, planRules, column("token", KindText, false), "dana@acme.example")
}

func BenchmarkPlan(b *testing.B) {
	e := engine(b, planRules)
	columns := []ResultColumn{column("id", KindOther, false), column("redact", KindText, false), column("note", KindText, false)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Plan("prod-db", columns); err != nil {
			b.Fatal(err)
		}
	}
}
