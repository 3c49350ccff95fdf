package masking

import "strings"

// ibanRegistry lists country codes with the length of their IBANs (ISO 13616,
// SWIFT's registry).
const ibanRegistry = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 " +
	"FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 " +
	"LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 " +
	"SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"

// ibanLength returns the length of a country's IBANs, 0 where it has none.
func ibanLength(a, b byte) int {
	a, b = a&^0x20, b&^0x20
	i := strings.Index(ibanRegistry, string([]byte{a, b}))
	if i < 0 || i%5 != 0 {
		return 0
	}
	return int(ibanRegistry[i+2]-'0')*10 + int(ibanRegistry[i+3]-'0')
}

// findIBANs appends IBANs, written together or in groups, whose check digits
// are right (mod 97-10, ISO 7064).
func findIBANs(b []byte, spans []span) []span {
	for i := 0; i+15 <= len(b); i++ {
		if !isUpper(b[i]&^0x20) || !isUpper(b[i+1]&^0x20) || !isDigit(b[i+2]) || !isDigit(b[i+3]) || i > 0 && (isAlnum(b[i-1]) || b[i-1] == '_') {
			continue
		}
		length := ibanLength(b[i], b[i+1])
		if length == 0 {
			continue
		}
		if end := ibanAt(b, i, length); end > 0 {
			spans = append(spans, span{i, end, detectIBAN})
			i = end - 1
		}
	}
	return spans
}

// ibanAt returns the end of the IBAN at i, 0 where there is none.
func ibanAt(b []byte, i, length int) int {
	var text [34]byte
	n := 0
	for i < len(b) && n < length {
		switch {
		case isAlnum(b[i]):
			c := b[i]
			if isLower(c) {
				c &^= 0x20
			}
			text[n] = c
			n++
		case (b[i] == ' ' || b[i] == '-') && n > 0 && n%4 == 0 && i+1 < len(b) && isAlnum(b[i+1]):
		default:
			return 0
		}
		i++
	}
	if n < length || i < len(b) && (isAlnum(b[i]) || b[i] == '_') {
		return 0
	}
	rest := 0
	for j := range length {
		c := text[(j+4)%length]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return i
}
