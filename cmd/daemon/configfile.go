package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/BurntSushi/toml"
)

// maxConfig is the maximum length of a configuration file, in bytes.
const maxConfig = 1 << 20

// readFile reads a TOML file into c, which has the defaults. An unknown key is an error with its line and a similar
// known key. Upper and lower case differ, although the TOML library ignores that.
func (c *Config) readFile(file string) error {
	text, err := readConfig(file, c.trust)
	if err != nil {
		return err
	}
	meta, err := toml.Decode(text, c)
	if err != nil {
		return tomlError(file, text, err)
	}
	var errs []error
	var last toml.Key
	for _, key := range meta.Keys() {
		if last != nil && len(key) >= len(last) && slices.Equal(key[:len(last)], last) {
			continue // the keys of an unknown table are unknown too
		}
		if known, siblings := knownKey(reflect.TypeFor[Config](), key); !known {
			errs = append(errs, unknownKeyError(file, text, key, siblings))
			last = key
		}
	}
	return errors.Join(errs...)
}

// readConfig reads the configuration file. It refuses a file that a user that is not trusted could have written,
// because the file names the programs that run as hooks.
func readConfig(file string, trust []uint32) (string, error) {
	text, _, err := configRules(trust).ReadFile(file, maxConfig)
	return string(text), err
}

// configRules returns the rules for the configuration file. Every user may read it, and it may be a symbolic link.
func configRules(trust []uint32) trustedpath.Rules {
	return trustedpath.Rules{FollowLink: true, TrustOwners: trust}
}

// knownKey reports whether a key exists in a struct, with the same upper and lower case. siblings are the keys beside
// the last part that was looked up.
func knownKey(t reflect.Type, key toml.Key) (known bool, siblings []string) {
	for _, part := range key {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() == reflect.Map { // the user chooses the keys of a map
			return true, nil
		}
		if t.Kind() != reflect.Struct {
			return false, nil
		}
		siblings = siblings[:0]
		var next reflect.Type
		for f := range t.Fields() {
			if name := keyOf(f); name != "" {
				siblings = append(siblings, name)
				if name == part {
					next = f.Type
				}
			}
		}
		if next == nil {
			return false, siblings
		}
		t = next
	}
	return true, nil
}

func unknownKeyError(file, text string, key toml.Key, siblings []string) error {
	where := file
	if line := lineOf(text, key); line > 0 {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	hint := "there are " + strings.Join(siblings, ", ")
	if near := nearestName(key[len(key)-1], siblings); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("%s: there is no key %q; %s", where, key.String(), hint)
}

// lineOf returns the line that has a key, or 0.
func lineOf(text string, key toml.Key) int {
	var table []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = splitKey(strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t"))
			if slices.Equal(table, key) {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && slices.Equal(append(slices.Clone(table), splitKey(name)...), key) {
			return i + 1
		}
	}
	return 0
}

// splitKey splits a dotted key into its parts, without quotes.
func splitKey(key string) []string {
	names := strings.Split(key, ".")
	for i, name := range names {
		names[i] = strings.Trim(strings.TrimSpace(name), `"'`)
	}
	return names
}

// nearestName returns the name that is most similar to name, or "" if none is similar.
func nearestName(name string, names []string) string {
	best, least := "", 1+len(name)/3
	for _, other := range names {
		if d := editDistance(strings.ToLower(name), other); d <= least {
			best, least = other, d-1
		}
	}
	return best
}

// editDistance returns the number of letters to insert, remove or replace between a and b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := left
			if a[i] != b[j] {
				d = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
