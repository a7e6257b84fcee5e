package access

// maxName is the longest name of a command, in bytes.
const maxName = 64

// matchesGlob reports whether a name is of the form of a pattern, from its first byte to its last. A *
// stands for any run of bytes, also for none; everything else for itself.
//
// When a byte does not fit, only the latest * is worth another try, with one byte more: what came before
// has matched as early as it could. So it takes at most len(pattern) * len(name) steps.
func matchesGlob(pattern, name string) bool {
	p, n := 0, 0
	star, from := -1, 0 // the latest *, and the first byte that it does not stand for
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// isPlainName reports whether a name could be a command's as far as its length and its letters go. None
// other matches a glob: neither zone-*, nor *, is meant for "zone-../x".
func isPlainName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' }
