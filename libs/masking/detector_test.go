package masking

import (
	"strings"
	"testing"
	"time"
)

// found marks what the named detector finds in a text with ⟦ and ⟧.
func found(t *testing.T, detector, text string) string {
	t.Helper()
	set := detectorsNamed(detector)
	if set == 0 {
		t.Fatalf("no detector %s", detector)
	}
	spans := merge(set.find([]byte(text), nil), func(int) Strategy { return Redact })
	var b strings.Builder
	last := 0
	for _, s := range spans {
		b.WriteString(text[last:s.start] + "⟦" + text[s.start:s.end] + "⟧")
		last = s.end
	}
	return b.String() + text[last:]
}

func TestDetectors(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkYW5hIn0.c2lnbmF0dXJl"
	for detector, cases := range map[string][]string{
		"email": {
			"to ⟦dana@acme.example⟧.", "<⟦d.a-n+a_1@mail.acme.co.uk⟧>", "mailto:⟦dana@acme.example⟧?x", "⟦dana@acme.example⟧,⟦eve@x.io⟧",
			`⟦"dana smith"@acme.example⟧`, "⟦däna@bücher.example⟧", "'⟦o'brien@acme.example⟧'", "⟦DANA@ACME.EXAMPLE⟧", "a ⟦dana@acme.example⟧...",
			"dana at acme.example", "@acme.example", "dana@", "dana@localhost", "left@pad@", "pkg@1.2.3", "a @> b", "d•••@•••.example", "x@y.z", "@@@",
		},
		"card": {
			"⟦4242424242424242⟧", "no ⟦4242 4242 4242 4242⟧, thanks", "⟦4242-4242-4242-4242⟧", "⟦4242.4242.4242.4242⟧", "⟦378282246310005⟧", "⟦3782 822463 10005⟧", "⟦5555555555554444⟧",
			"⟦2223003122003222⟧", "⟦6011111111111117⟧", "⟦30569309025904⟧", "⟦3530111333300000⟧", "⟦4222222222222⟧", "⟦6240008631401148⟧", "⟦4242 4242 4242 4242⟧ 123", "⟦4242424242424242⟧ 12/29",
			"4242424242424243", "1242424242424242", "42424242 42424", "id4242424242424242", "4242424242424242x", "0.4242424242424242", "2026-11-24 12:00:00.123456", "7c9e6679-7425-40de-944b-e07fc1f90ae7",
			"42424242424242424242", "•••• 4242", "1764000000000",
		},
		"iban": {
			"⟦DE89370400440532013000⟧", "⟦DE89 3704 0044 0532 0130 00⟧", "⟦GB82 WEST 1234 5698 7654 32⟧.", "⟦de89370400440532013000⟧", "⟦NO9386011117947⟧", "⟦MT84MALT011000012345MTLCAST001S⟧",
			"DE88370400440532013000", "XX89370400440532013000", "ADE89370400440532013000", "DE89370400440532013000x", "DE8937040044053201300",
		},
		"us-ssn": {
			"⟦078-05-1120⟧", "ssn ⟦078 05 1120⟧ ", "SSN: ⟦078051120⟧", "social security number ⟦078051120⟧",
			"000-05-1120", "666-05-1120", "912-05-1120", "078-00-1120", "078-05-0000", "1078-05-1120", "078-05-11201", "2026-11-24", "078051120", "555-078-05-1120", "session 123456789",
		},
		"aws-key": {
			"⟦AKIAIOSFODNN7EXAMPLE⟧", "id=⟦ASIAIOSFODNN7EXAMPLE⟧;", "aws_secret_access_key = ⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧", `"SecretAccessKey": "⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧"`,
			"⟦AKIAIOSFODNN7EXAMPLE⟧:⟦wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY⟧", "akiaiosfodnn7example", "AKIASHORT", "XAKIAIOSFODNN7EXAMPLE", "secret da39a3ee5e6b4b0d3255bfef95601890afd80709",
			"AKIAIOSFODNN7EXAMPLETOOLONG",
		},
		"github-token": {"⟦ghp_abcdefghijklmnopqrstuvwxyz0123456789⟧", "https://⟦ghs_abcdefghijklmnopqrstuvwxyz0123456789⟧@github.com", "⟦github_pat_11ABCDEFG0abcdefghijkl_mnop⟧", "ghp_short", "aghp_abcdefghijklmnopqrstuvwxyz0123456789"},
		"gitlab-token": {"⟦glpat-abcdefghij0123456789⟧", "⟦glrt-abcdefghij0123456789⟧.", "glpat-short"},
		"slack-token":  {"⟦xoxb-123456789012-abcdefABCDEF⟧", "⟦xapp-1-A0123-456-abc⟧", "https://⟦hooks.slack.com/services/T0000/B0000/XXXXXXXX⟧", "xoxb-", "xoxo-hugs"},
		"jwt":          {"Bearer ⟦" + jwt + "⟧", "⟦eyJhbGciOiJub25lIn0.eyJzdWIiOiJkYW5hIn0.⟧", "⟦" + jwt + "⟧, x", "eyJhbGciOiJSUzI1NiJ9", "eyJhbGciOiJSUzI1NiJ9.x", "heyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkYW5hIn0.x"},
		"private-key": {
			"a ⟦-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----⟧ b", `⟦-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----⟧`, "⟦-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl⟧",
			"⟦-----BEGIN PGP PRIVATE KEY BLOCK-----\nx\n-----END PGP PRIVATE KEY BLOCK-----⟧", "⟦PuTTY-User-Key-File-3: ssh-ed25519⟧",
			"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----",
		},
		"google-key":        {"⟦AIzaSyA0123456789abcdefghijklmnopqrstuv⟧", "⟦GOCSPX-abcdefghijklmnopqrstuvwx⟧", "AIzaShort"},
		"stripe-key":        {"⟦sk_live_abcdefghij0123456789⟧", "⟦rk_test_abcdefghij0123456789⟧", "⟦whsec_abcdefghij0123456789⟧", "pk_live_abcdefghij0123456789"},
		"api-key":           {"⟦sk-ant-api03-abcdefghijklmnopqrst⟧", "⟦npm_abcdefghijklmnopqrstuvwxyz0123456789⟧", "Authorization: Bearer ⟦abcdef0123456789abcd⟧", "Authorization: Basic ⟦ZGFuYTpodW50ZXIy⟧", "Basic training", "the bearer of good news", "task-force"},
		"connection-string": {"postgres://app:⟦hunter2⟧@db:5432/x", "postgres://app:⟦p@ss/w#rd⟧@db/x", "https://dana:⟦pw⟧@host/a@b", "redis://:⟦pw⟧@host", "postgres://app@db/x", "https://host:8080/a@b", "postgres://app:$1@db", "see https://x.example", "amqp://a:⟦b⟧@c amqp://d:⟦e⟧@f"},
		"password": {
			"password=⟦hunter2⟧", "PGPASSWORD=⟦hunter2⟧ psql", "host=db password=⟦hunter2⟧ user=x", "password='⟦it''s⟧'", `password = "⟦hunter2⟧"`, `{"password": "⟦hunter2⟧"}`, "DB_PASSWORD: ⟦hunter2⟧", "pwd=⟦hunter2⟧;Database=x", "?password=⟦hunter2⟧&x=y",
			"CREATE ROLE app PASSWORD '⟦hunter2⟧'", "ALTER USER x IDENTIFIED BY '⟦hunter2⟧'", "api_key: ⟦abcdef123⟧", "client_secret=⟦abcdef123⟧", "access_token=⟦abcdef123⟧", "password = ⟦hunter2⟧\nuser = x", "WHERE password = '⟦hunter2⟧'", "SET password = E'⟦hun\\'ter2⟧'",
			"SET password = excluded.password", "password = $1", "password=$1", "password=?", "password IS NULL", "password=null", "password_hash", "SELECT password, name", "password::text", "password = crypt($1, x)", "password='[redacted:password]'", "password='‹text 7 #a1b2c3›'", "tokens: 12345", "tokenize: words", "password=${PW}", "password=***", "WHERE password = name AND x",
		},
	} {
		for _, want := range cases {
			text := strings.NewReplacer("⟦", "", "⟧", "").Replace(want)
			if got := found(t, detector, text); got != want {
				t.Errorf("%s:\n got %s\nwant %s", detector, got, want)
			}
		}
	}
}

func TestEveryDetectorIsTested(t *testing.T) {
	if got := len(DetectorNames()); got != detectorCount {
		t.Fatalf("%d names", got)
	}
	for i, word := range strings.Fields(detectorWords) {
		if catalogue[i].name != word {
			t.Errorf("detector %d is %q, not %q", i, catalogue[i].name, word)
		}
	}
	if setSecrets&setPersonal != 0 || setSecrets|setPersonal != setAll {
		t.Error("the groups do not add up")
	}
}

// A hostile cell must not cost more than its length: each input below would be
// quadratic under a naive matcher.
func TestDetectorsAreLinear(t *testing.T) {
	for _, piece := range []string{"eyJ", "_eyJ", "@", "a@", "a@b.", "://", "x://a:b", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "password=\"", "password='", "password=", "secret", "ghp_", "4242 ", "4", "DE89 ", "078-05-", "ssn ", "bearer ", "basic ", "\"@", "sk-", "xox"} {
		text := []byte(strings.Repeat(piece, 256<<10/len(piece)))
		start := time.Now()
		setAll.find(text, nil)
		if perByte := float64(time.Since(start)) / float64(len(text)); perByte > 2000 {
			t.Errorf("%q repeated: %.0f ns a byte", piece, perByte)
		}
	}
}
