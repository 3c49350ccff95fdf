package postgres

import (
	"fmt"
	"strings"

	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// passed are the settings that a client may give at start-up and the target
// gets: none of them changes how a text is read or what the session may do, and
// what they change of its meaning is asked of the target like the rest of the
// session's state.
var passed = map[string]bool{
	"application_name": true, "datestyle": true, "timezone": true, "intervalstyle": true, "extra_float_digits": true, "bytea_output": true,
	"statement_timeout": true, "lock_timeout": true, "idle_in_transaction_session_timeout": true,
	"idle_session_timeout": true, "transaction_timeout": true, "search_path": true, "client_min_messages": true,
	"default_transaction_isolation": true, "default_transaction_read_only": true, "default_transaction_deferrable": true,
	"jit": true, "plan_cache_mode": true,
}

// opening is what a start-up packet asks for.
type opening struct {
	version                uint32 // of the protocol, as agreed
	user, target, database string
	settings               map[string]string // for the target
	application            string
	bearer                 bool     // the client hands over its token by OAUTHBEARER
	options                []string // protocol options, none of which we know
}

// readOpening takes what may be taken of a start-up packet and refuses the
// rest by name: a setting that is silently dropped, or silently passed, is a
// surprise to somebody. bearer is how a client is asked for its token that does
// not choose.
func readOpening(settings []wire.Setting, bearer bool) (*opening, error) {
	o := &opening{settings: map[string]string{}, bearer: bearer}
	name := ""
	for _, s := range settings { // a setting of its own overrides one in options
		if s.Name == "options" {
			if err := o.setAll(s.Value); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range settings {
		switch {
		case s.Name == "options":
		case s.Name == "user":
			o.user = s.Value
		case s.Name == "database":
			name = s.Value
		case s.Name == "replication":
			if !falsehood(s.Value) {
				return nil, unsupported("replication", "Replication would carry every table past policy and masking.")
			}
		case strings.HasPrefix(s.Name, "_pq_."):
			o.options = append(o.options, s.Name)
		default:
			if err := o.set(s); err != nil {
				return nil, err
			}
		}
	}
	if o.user == "" {
		return nil, &refusal.Refusal{Code: refusal.ProtocolViolation, Message: "the start-up packet names no user"}
	}
	if name == "" { // as a server does
		name = o.user
	}
	o.target, o.database, _ = strings.Cut(name, "/")
	o.application = o.settings["application_name"]
	// Both are the session's defaults then, for RESET and DISCARD too, whatever
	// the target has set for its user or database.
	o.settings["client_encoding"], o.settings["standard_conforming_strings"] = "UTF8", "on"
	return o, nil
}

// set takes one setting for the target.
func (o *opening) set(s wire.Setting) error {
	switch name := strings.ToLower(s.Name); {
	case name == "client_encoding":
		if !utf8Name(s.Value) {
			return encodingFixed()
		}
	case name == "standard_conforming_strings":
		if !truth(s.Value) {
			return stringsFixed()
		}
	case name == authSetting:
		switch s.Value {
		case "password":
			o.bearer = false
		case "oauthbearer":
			o.bearer = true
		default:
			return &refusal.Refusal{
				Code: refusal.ProtocolUnsupported, Message: fmt.Sprintf("%s cannot be %q", authSetting, clean(s.Value)), Hint: "It may be password or oauthbearer.",
			}
		}
	case passed[name]:
		o.settings[name] = s.Value
	default:
		return unsupported(s.Name, "Set it with SET after connecting, where a rule allows that.")
	}
	return nil
}

// setAll takes the settings of the start-up parameter "options".
func (o *opening) setAll(line string) error {
	list, err := readOptions(line)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err := o.set(s); err != nil {
			return err
		}
	}
	return nil
}

func unsupported(parameter, hint string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ProtocolUnsupported, Message: fmt.Sprintf("the start-up parameter %q is not supported", clean(parameter)), Hint: hint,
	}
}

func encodingFixed() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.SettingFixed, Message: "client_encoding is UTF8 here and cannot be changed",
		Detail: "In other encodings a quote may be part of a character, so that a text means something else to the target than to the gateway.",
		Hint:   "Set PGCLIENTENCODING=UTF8, or leave it unset.",
	}
}

func stringsFixed() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.SettingFixed, Message: "standard_conforming_strings is on here and cannot be changed",
		Detail: "With it off, a backslash in a string hides the quote that follows, so that a text means something else to the target than to the gateway.",
		Hint:   "Write escapes as E'...' strings.",
	}
}

// utf8Name reports that an encoding's name means UTF-8; "auto" is libpq's word
// for the locale's, which it resolves before it sends it.
func utf8Name(s string) bool {
	switch strings.ToLower(strings.Trim(s, `'" `)) {
	case "utf8", "utf-8", "unicode":
		return true
	}
	return false
}

func falsehood(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "off", "false", "no", "f", "n":
		return true
	}
	return false
}

func truth(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "true", "yes", "t", "y":
		return true
	}
	return false
}
