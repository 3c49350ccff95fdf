package passkey

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// At returns the relying party of an origin, of a domain where id is empty: the
// origin's host. An error says in words what a browser would not take.
func At(origin, id string) (RelyingParty, error) {
	u, err := url.Parse(origin)
	if err != nil {
		u = &url.URL{}
	}
	_, numbers := netip.ParseAddr(u.Hostname())
	switch {
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return RelyingParty{}, errors.New("it is not an origin: write scheme and host, e.g. https://approvals.acme.example")
	case numbers == nil:
		return RelyingParty{}, errors.New("browsers take no passkeys at an address of numbers: write a name (http://localhost:9103 on this machine)")
	case u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost"):
		return RelyingParty{}, errors.New("browsers take passkeys at https:// only, or at http://localhost")
	case u.String() != strings.ToLower(origin):
		return RelyingParty{}, errors.New("it is not spelled as browsers do: write it in lower case, without anything behind the port")
	}
	host := u.Hostname()
	if id == "" {
		id = host
	}
	if id != host && (!strings.HasSuffix(host, "."+id) || !strings.Contains(id, ".")) {
		return RelyingParty{}, errors.New("its id is neither its host nor a domain above it")
	}
	return RelyingParty{ID: id, Origin: u.String()}, nil
}
