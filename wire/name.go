package wire

// MaxName is the longest name of a command, and the longest code of an error, in bytes.
const MaxName = 64

// NamePattern is the form of a command's name and of an error's code as a regular expression, for error texts.
const NamePattern = `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`

// ValidName reports whether s can be the name of a command or the code of an error. s matches NamePattern and has at
// most MaxName bytes. It may be called concurrently.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		case c == '-' && i+1 < len(s) && s[i+1] != '-': // a hyphen stands between two words
		default:
			return false
		}
	}
	return true
}
