package dev

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

func TestScreen(t *testing.T) {
	var out bytes.Buffer
	env := &cli.Env{Stderr: &out, Dir: ".gatestay", Getenv: func(string) string { return "" }}
	log := zerolog.New(newScreen(env, zerolog.WarnLevel)).With().Str("service", "policy").Logger()
	log.Info().Uint64("version", 1).Int("rules", 3).Msg("policy published")
	log.Error().Str("file", "shop.yaml").Int("line", 4).Str("rule", "reads").Str("problem", `unknown key "efect" in a rule`).
		Str("remedy", `did you mean "effect"?`).Msg("policy rejected")
	log.Error().Str("file", "shop.yaml").Str("problem", "no such thing").Str("remedy", "write it").Msg("policy rejected")
	log.Info().Uint64("version", 2).Int("rules", 1).Msg("policy published")
	log.Error().Str("file", "shop.yaml").Int("line", 2).Str("problem", `there is no strategy "blank"`).Str("remedy", "use null").Msg("masking rules rejected")
	log.Info().Uint64("version", 5).Int("rules", 2).Msg("masking rules published")
	log.Info().Uint64("version", 5).Int("rules", 2).Msg("masking rules good again")
	log.Error().Err(errors.New("gatestay.yaml:3: a tab")).Msg("configuration rejected; the last good one stays")
	log.Error().Err(errors.New("gatestay.yaml:3: a tab")).Msg("changed configuration refused; the last good one stays")
	log.Warn().Str("kind", "x").Str("rule", "reads").Str("finding", "it never applies").Str("remedy", "remove it").Msg("policy finding")
	log.Warn().Str("kind", "y").Str("target", "my-db").Str("finding", "no rule covers it").Str("remedy", "write one").Msg("policy finding")
	log.Info().Msg("of no interest")
	log.Warn().Int("port", 7).Msg("something else")
	want := `✕ .gatestay/policies  not published; what was published before stays
  .gatestay/policies/shop.yaml:4  rule reads
    unknown key "efect" in a rule
    → did you mean "effect"?
  .gatestay/policies/shop.yaml
    no such thing
    → write it
✓ .gatestay/policies  published version 2, 1 rule
✕ .gatestay/masking  not published; what was published before stays
  .gatestay/masking/shop.yaml:2
    there is no strategy "blank"
    → use null
✓ .gatestay/masking  published version 5, 2 rules
✓ .gatestay/masking  good again; version 5 stays, 2 rules
✕ .gatestay/gatestay.yaml
  gatestay.yaml:3: a tab
  what was read before stays
! .gatestay/policies  rule reads
  it never applies
  → remove it
! .gatestay/policies  target my-db
  no rule covers it
  → write one
<nil> WRN something else port=7 service=policy
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
