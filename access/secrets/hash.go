package secrets

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strconv"

	"golang.org/x/crypto/argon2"
)

// What a new hash costs: OWASP's first choice, about 20 ms and 19 MiB.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashSum     = 32
)

// What the hash in a file may cost at most.
const (
	maxHashMemory  = 64 << 10
	maxHashPasses  = 10
	maxHashThreads = 4
	maxHashBytes   = 64 // of salt and of sum, each
	minHashBytes   = 8
)

// A hash is an argon2id hash, with what it takes to make it again (RFC 9106).
type hash struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	sum     []byte
}

// derive is replaced by tests that count.
var derive = argon2id

func argon2id(password, salt []byte, passes, memory uint32, threads uint8, length uint32) []byte {
	defer collect()
	return argon2.IDKey(password, salt, passes, memory, threads, length)
}

// smallHeap is where what a hash leaves behind is no longer much beside the rest, in bytes.
const smallHeap = 64 << 20

// collect collects the garbage that a hash has left in a small heap. By its own pace the collector
// would let three of them pile up there. It takes about 1 ms; in a large heap it would take longer.
func collect() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Uint64() < smallHeap {
		runtime.GC()
	}
}

// newHash hashes a password.
func newHash(password string) hash {
	h := dummyHash()
	h.sum = h.of(password)
	return h
}

// dummyHash is one that no password has: it costs as much to find that out as it does for a new one.
func dummyHash() hash {
	h := hash{memory: hashMemory, passes: hashPasses, threads: hashThreads, salt: make([]byte, hashSalt), sum: make([]byte, hashSum)}
	_, _ = rand.Read(h.salt) // never fails
	return h
}

func (h hash) of(password string) []byte {
	return derive([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.sum)))
}

// matches reports whether the password is the one that was hashed. It takes as long whether or not.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.of(password), h.sum) == 1
}

// String returns the hash in the format of the Password Hashing Competition, as other programs
// write and read it.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		inHash.EncodeToString(h.salt), inHash.EncodeToString(h.sum))
}

var inHash = base64.RawStdEncoding.Strict()

var hashForm = regexp.MustCompile(`^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

// parseHash reads what String returns. The error does not show it.
func parseHash(text string) (hash, error) {
	part := hashForm.FindStringSubmatch(text)
	if part == nil {
		return hash{}, errors.New("it is not of the form $argon2id$v=19$m=19456,t=2,p=1$SALT$SUM")
	}
	var cost [3]uint32
	for i, limit := range []struct {
		name     string
		min, max uint32
	}{{"m", 8, maxHashMemory}, {"t", 1, maxHashPasses}, {"p", 1, maxHashThreads}} {
		n, _ := strconv.ParseUint(part[1+i], 10, 32) // nine digits
		if cost[i] = uint32(n); cost[i] < limit.min || cost[i] > limit.max {
			return hash{}, fmt.Errorf("%s=%d is out of bounds: %d to %d", limit.name, n, limit.min, limit.max)
		}
	}
	h := hash{memory: cost[0], passes: cost[1], threads: uint8(cost[2])}
	for i, bytes := range []*[]byte{&h.salt, &h.sum} {
		var err error
		*bytes, err = inHash.DecodeString(part[4+i])
		if err != nil || len(*bytes) < minHashBytes || len(*bytes) > maxHashBytes {
			return hash{}, fmt.Errorf("its salt and sum must be %d to %d bytes in base64", minHashBytes, maxHashBytes)
		}
	}
	return h, nil
}
