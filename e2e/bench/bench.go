// Package bench measures what Gatestay costs, against what people compare it
// with: no proxy, pgbouncer in both modes, and a bare Go splice, the least that
// any proxy written in Go does.
//
// All contenders of one line run interleaved, round by round, so that a noisy
// minute hits all of them; a figure is the median of the rounds, printed with
// the least and the greatest. The load comes from pgbench on the same machine:
// compare figures of one run with one another, not with those of another machine.
package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options bound a run.
type Options struct {
	Bin     string // folder of the built binaries
	Rounds  int
	Seconds int    // of each measurement
	Clients []int  // at once
	Holds   int    // clicks to time
	Records int    // to archive
	Only    string // parts, with commas between; empty: all
	Match   string // measure only figures whose name matches; empty: all
	Profile string // file of a CPU profile of the gateway; empty: none
	Log     func(string)
}

// Result is one figure, as build/bench.json holds it.
type Result struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// series are the samples of one figure.
type series struct {
	name, unit string
	samples    []float64
}

func (s *series) add(v float64) { s.samples = append(s.samples, v) }

// most keeps the greatest only.
func (s *series) most(v float64) {
	if len(s.samples) == 0 || v > s.samples[0] {
		s.samples = []float64{v}
	}
}

// quantile returns the sample at q of the sorted ones; q is 0 to 1.
func (s *series) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s.samples))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s *series) median() float64 { return s.quantile(0.5) }

func (s *series) result() Result { return Result{Name: s.name, Value: round(s.median()), Unit: s.unit} }

// cell is "median (least–greatest)", or a dash where nothing was measured.
func (s *series) cell() string {
	if s == nil || len(s.samples) == 0 {
		return "—"
	}
	if len(s.samples) == 1 {
		return number(s.samples[0])
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median()), number(slices.Min(s.samples)), number(slices.Max(s.samples)))
}

func round(v float64) float64 {
	switch {
	case v >= 1000:
		return float64(int64(v + 0.5))
	default:
		return float64(int64(v*100+0.5)) / 100
	}
}

// number prints with thousands apart, and decimals only where they matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var parts []string
	for len(digits) > 3 {
		parts = append(parts, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	parts = append(parts, digits)
	slices.Reverse(parts)
	return strings.Join(parts, ",")
}

// Write leaves the results at path, sorted by name.
func Write(path string, results []Result) error {
	slices.SortFunc(results, func(a, b Result) int { return cmp.Compare(a.Name, b.Name) })
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}
