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

// The cost of a new hash: the first recommendation of OWASP, about 20 ms and 19 MiB.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashSum     = 32
)

// The highest cost of a hash in a file.
const (
	maxHashMemory      = 64 << 10
	maxHashPasses      = 10
	maxHashThreads     = 4
	maxHashBytes       = 64 // of the salt, and of the sum
	mhashEncodingBytes = 8
)

// A hash is an argon2id hash with its parameters (RFC 9106).
type hash struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
	salt    []byte
	sum     []byte
}

// derive computes a hash. Tests replace it, to count calls.
var derive = argon2id

func argon2id(password, salt []byte, passes, memory uint32, threads uint8, length uint32) []byte {
	defer collect()
	return argon2.IDKey(password, salt, passes, memory, threads, length)
}

// smallHeap is the size in bytes below which the garbage of a hash is a large part of the heap.
const smallHeap = 64 << 20

// collect runs the garbage collector after a hash, if the heap is small. Without it the garbage of about three hashes
// would accumulate there. It takes about 1 ms; in a large heap it would take longer.
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

// dummyHash returns a hash that no password matches. A comparison with it costs as much as with a new hash.
func dummyHash() hash {
	h := hash{memory: hashMemory, passes: hashPasses, threads: hashThreads, salt: make([]byte, hashSalt), sum: make([]byte, hashSum)}
	_, _ = rand.Read(h.salt) // never fails
	return h
}

func (h hash) of(password string) []byte {
	return derive([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.sum)))
}

// matches reports whether the password is the one that was hashed. It takes the same time in both cases.
func (h hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.of(password), h.sum) == 1
}

// String returns the hash in the format of the Password Hashing Competition, which other programs read and write too.
func (h hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		hashEncoding.EncodeToString(h.salt), hashEncoding.EncodeToString(h.sum))
}

var hashEncoding = base64.RawStdEncoding.Strict()

var hashForm = regexp.MustCompile(`^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

// parseHash parses the result of String. The error does not contain the text.
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
		n, _ := strconv.ParseUint(part[1+i], 10, 32) // cannot fail: it has at most nine digits
		if cost[i] = uint32(n); cost[i] < limit.min || cost[i] > limit.max {
			return hash{}, fmt.Errorf("%s=%d is out of bounds: %d to %d", limit.name, n, limit.min, limit.max)
		}
	}
	h := hash{memory: cost[0], passes: cost[1], threads: uint8(cost[2])}
	for i, bytes := range []*[]byte{&h.salt, &h.sum} {
		var err error
		*bytes, err = hashEncoding.DecodeString(part[4+i])
		if err != nil || len(*bytes) < mhashEncodingBytes || len(*bytes) > maxHashBytes {
			return hash{}, fmt.Errorf("its salt and sum must be %d to %d bytes in base64", mhashEncodingBytes, maxHashBytes)
		}
	}
	return h, nil
}
