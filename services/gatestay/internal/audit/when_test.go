package audit

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 12, 30, 15, 0, berlin) // a Tuesday
	day := func(month time.Month, d int, clock ...int) time.Time {
		clock = append(clock, 0, 0, 0)
		return time.Date(2026, month, d, clock[0], clock[1], clock[2], 0, berlin)
	}
	for text, want := range map[string]moment{
		"now":                  {now, 0},
		"2h":                   {now.Add(-2 * time.Hour), 0},
		"2h ago":               {now.Add(-2 * time.Hour), 0},
		"1h30m":                {now.Add(-90 * time.Minute), 0},
		"1.5d":                 {now.Add(-36 * time.Hour), 0},
		"2w":                   {now.Add(-14 * 24 * time.Hour), 0},
		"today":                {day(11, 24), 24 * time.Hour},
		"Yesterday":            {day(11, 23), 24 * time.Hour},
		"yesterday 14:30":      {day(11, 23, 14, 30), time.Minute},
		"14:30":                {day(11, 24, 14, 30), time.Minute},
		"9:05:07":              {day(11, 24, 9, 5, 7), time.Second},
		"tuesday":              {day(11, 24), 24 * time.Hour},
		"mon":                  {day(11, 23), 24 * time.Hour},
		"wednesday":            {day(11, 18), 24 * time.Hour},
		"2026-11-01":           {day(11, 1), 24 * time.Hour},
		"2026-10-25":           {day(10, 25), 25 * time.Hour}, // the clocks went back
		"2026-11-01 14:30":     {day(11, 1, 14, 30), time.Minute},
		"2026-11-01T14:30:05":  {day(11, 1, 14, 30, 5), time.Second},
		"2026-11-01T14:30:05Z": {time.Date(2026, 11, 1, 14, 30, 5, 0, time.UTC), 0},
	} {
		got, err := parseMoment(text, now)
		if err != nil || !got.at.Equal(want.at) || got.span != want.span {
			t.Errorf("%q: %v for %s, %v; want %v for %s", text, got.at, got.span, err, want.at, want.span)
		}
	}
	for _, text := range []string{"", "soon", "25:00", "2026-13-01", "2h 3x", "-2h", "tomorrow", "yesterday noon", "2026-11-01 25:00", "h"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got.at)
		}
	}
	if end, _ := until("yesterday", now); !end.Equal(day(11, 24)) {
		t.Errorf("until yesterday ends at %v", end)
	}
	if end, _ := until("2h", now); !end.Equal(now.Add(-2 * time.Hour)) {
		t.Errorf("until 2h ago ends at %v", end)
	}
}
