package masking

import "slices"

// detector finds one kind of secret or personal data in a text.
type detector struct {
	name string
	// personal data names or pays for a person; the others are secrets of machines.
	personal bool
	// keywords in lower case; each occurrence is offered to verify. A detector
	// without keywords is one of digits (see digits.go).
	keywords []string
	verify   func(b []byte, at, end int) verdict
}

// verdict says what verify made of a keyword at b[at:end]. Where stop > start
// it is a match. Keywords of the same detector that begin before next can be
// no further match: this keeps every scan linear.
type verdict struct{ start, stop, next int }

// detectorSet is a set of indexes into the catalogue.
type detectorSet uint32

func (set detectorSet) has(i int) bool { return set&(1<<i) != 0 }

// The detectors of digits, by index.
const (
	detectEmail = iota
	detectCard
	detectIBAN
	detectSSN
	detectAWS
	firstOther

	detectorCount = 15
)

// catalogue is the table of all detectors. It is never changed.
var catalogue = [detectorCount]detector{
	detectEmail: {name: "email", personal: true, keywords: []string{"@"}, verify: verifyEmail},
	detectCard:  {name: "card", personal: true},
	detectIBAN:  {name: "iban", personal: true},
	detectSSN:   {name: "us-ssn", personal: true, keywords: []string{"ssn", "social security"}, verify: verifyKeyedSSN},
	detectAWS: {name: "aws-key", keywords: []string{"akia", "asia", "abia", "acca", "secret"}, verify: firstOf(
		prefixed("AKIA", awsID, 16, 16), prefixed("ASIA", awsID, 16, 16), prefixed("ABIA", awsID, 16, 16), prefixed("ACCA", awsID, 16, 16), verifyAWSSecret)},
	firstOther: {name: "github-token", keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"}, verify: firstOf(
		prefixed("ghp_", wordDot, 36, 0), prefixed("gho_", wordDot, 36, 0), prefixed("ghu_", wordDot, 36, 0), prefixed("ghs_", wordDot, 36, 0),
		prefixed("ghr_", wordDot, 36, 0), prefixed("github_pat_", wordDot, 22, 0))},
	{name: "gitlab-token", keywords: []string{"glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-"}, verify: firstOf(
		prefixed("glpat-", wordDot, 20, 0), prefixed("gldt-", wordDot, 20, 0), prefixed("glrt-", wordDot, 20, 0), prefixed("glcbt-", wordDot, 20, 0),
		prefixed("glptt-", wordDot, 20, 0), prefixed("glft-", wordDot, 20, 0), prefixed("glsoat-", wordDot, 20, 0), prefixed("glimt-", wordDot, 20, 0),
		prefixed("glagent-", wordDot, 20, 0))},
	{name: "slack-token", keywords: []string{"xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-", "hooks.slack.com/"}, verify: firstOf(
		prefixed("xox", wordDot, 12, 0), prefixed("xapp-", wordDot, 12, 0), prefixed("hooks.slack.com/", urlPath, 20, 0))},
	{name: "jwt", keywords: []string{"eyj"}, verify: verifyJWT},
	{name: "private-key", keywords: []string{"-----begin", "putty-user-key-file"}, verify: verifyPrivateKey},
	{name: "google-key", keywords: []string{"aiza", "ya29.", "gocspx-"}, verify: firstOf(
		prefixed("AIza", wordDot, 35, 0), prefixed("ya29.", wordDot, 20, 0), prefixed("GOCSPX-", wordDot, 20, 0))},
	{name: "stripe-key", keywords: []string{"sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"}, verify: firstOf(
		prefixed("sk_live_", wordDot, 10, 0), prefixed("sk_test_", wordDot, 10, 0), prefixed("rk_live_", wordDot, 10, 0),
		prefixed("rk_test_", wordDot, 10, 0), prefixed("whsec_", base64Char, 16, 0))},
	{name: "api-key", keywords: []string{"sk-", "npm_", "pypi-", "dckr_pat_", "sg.", "hvs.", "hvb.", "dop_v1_", "shpat_", "bearer ", "basic "}, verify: firstOf(
		prefixed("sk-ant-", wordDot, 20, 0), prefixed("sk-proj-", wordDot, 20, 0), prefixed("sk-svcacct-", wordDot, 20, 0), prefixed("sk-", alnum, 32, 0),
		prefixed("npm_", alnum, 36, 0), prefixed("pypi-", wordDot, 40, 0), prefixed("dckr_pat_", wordDot, 20, 0), prefixed("SG.", wordDot, 40, 0),
		prefixed("hvs.", wordDot, 24, 0), prefixed("hvb.", wordDot, 24, 0), prefixed("dop_v1_", alnum, 40, 0), prefixed("shpat_", alnum, 32, 0),
		verifyBearer)},
	{name: "connection-string", keywords: []string{"://"}, verify: verifyConnectionString},
	{name: "password", keywords: passwordWords, verify: verifyPassword},
}

// The sets that a rule may name instead of single detectors.
var (
	setAll      = detectorSet(1<<detectorCount - 1)
	setSecrets  = setOf(func(d *detector) bool { return !d.personal })
	setPersonal = setOf(func(d *detector) bool { return d.personal })
)

func setOf(in func(*detector) bool) (s detectorSet) {
	for i := range catalogue {
		if in(&catalogue[i]) {
			s |= 1 << i
		}
	}
	return s
}

// DetectorNames returns the names of all detectors, sorted.
func DetectorNames() []string {
	names := make([]string, 0, detectorCount)
	for i := range catalogue {
		names = append(names, catalogue[i].name)
	}
	slices.Sort(names)
	return names
}

// Detect returns the names of the detectors that find something in a value,
// sorted. It is what "gatestay init" samples columns with.
func Detect(value []byte) []string {
	var found detectorSet
	for _, s := range setAll.find(value, nil) {
		found |= 1 << s.detector
	}
	return found.names()
}

func groupNames() []string { return []string{"all", "personal", "secrets"} }

// detectorsNamed returns the set that a name in a rule stands for; empty where
// it is not known.
func detectorsNamed(name string) detectorSet {
	switch name {
	case "all":
		return setAll
	case "secrets":
		return setSecrets
	case "personal":
		return setPersonal
	}
	return setOf(func(d *detector) bool { return d.name == name })
}
