package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
)

// A key with the tag wire:"set" may be set over the channel. A key without the tag is read-only there: it names files
// or programs, or gives rights, and a client that sets it could raise its own rights. It changes only in the file. A
// key with the tag wire:"narrow" may be set to a value that gives fewer rights than the one in force (decision 64).
func isSettable(f reflect.StructField) bool { return f.Tag.Get("wire") == "set" }

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return key
}

// copyReadOnly copies the read-only values into next, so that a client may leave them out.
func copyReadOnly(running, next *Config) {
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for i := range to.NumField() {
		f := to.Type().Field(i)
		switch {
		case keyOf(f) == "" || isSettable(f):
		case f.Type.Kind() == reflect.Struct:
			copyReadOnlyFields(from.Field(i), to.Field(i))
		case f.Type.Kind() == reflect.Slice && f.Type.Elem() == reflect.TypeFor[*Listen]():
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
}

func copyReadOnlyFields(from, to reflect.Value) {
	for i := range to.NumField() {
		if f := to.Type().Field(i); keyOf(f) != "" && !isSettable(f) {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// checkReadOnly returns an error if a read-only value has changed. A hidden secret means the value in force.
func checkReadOnly(running, next *Config) error {
	rerr := &wire.Error{Code: wire.CodeError, Word: "not-settable"}
	refuseAs := func(pointer, text string) {
		rerr.Fields = append(rerr.Fields, wire.Field{Pointer: "/" + section + pointer, Text: text + "; change it in the file, and give config-reload"})
	}
	refuse := func(pointer string) { refuseAs(pointer, "cannot be set over the channel") }
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for i := range to.NumField() {
		f := to.Type().Field(i)
		key := keyOf(f)
		switch {
		case key == "" || isSettable(f):
		case f.Type.Kind() == reflect.Struct:
			checkReadOnlyFields(from.Field(i), to.Field(i), "/"+key, refuse)
		case key == "listen":
			checkReadOnlyListeners(running.Listen, next.Listen, refuseAs)
		case !sameValue(from.Field(i), to.Field(i)):
			refuse("/" + key)
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
	if len(rerr.Fields) == 0 {
		return nil
	}
	rerr.Text = fmt.Sprintf("'%s' %s", strings.TrimPrefix(rerr.Fields[0].Pointer, "/"+section+"/"), rerr.Fields[0].Text)
	return rerr
}

func checkReadOnlyFields(from, to reflect.Value, at string, refuse func(string)) {
	for i := range to.NumField() {
		f := to.Type().Field(i)
		switch key := keyOf(f); {
		case key == "" || isSettable(f):
		case !sameValue(from.Field(i), to.Field(i)):
			refuse(at + "/" + key)
		}
	}
}

// sameValue reports whether two values have the same encoding. In the second one the secrets may be hidden.
func sameValue(a, b reflect.Value) bool {
	running, err := encodeValueWithSecrets(a.Interface())
	if err != nil {
		return false
	}
	next, err := encodeValueWithSecrets(b.Interface())
	if err != nil {
		return false
	}
	shown, err := json.Marshal(a.Interface(), json.Deterministic(true))
	return string(next) == string(running) || err == nil && string(next) == string(shown)
}

// checkReadOnlyListeners compares each listener of a configuration from the channel with the one in force at the same
// address. A listener may be left out, but not added or moved. A missing key keeps its value. A key with the tag
// wire:"narrow" may give fewer rights, and every other key must be unchanged.
func checkReadOnlyListeners(running, next []*Listen, refuse func(pointer, text string)) {
	used := make([]bool, len(running))
	for i, l := range next {
		at := fmt.Sprintf("/listen/%d", i)
		n := indexOfListener(l, running, used, i)
		if n < 0 {
			refuse(at, "cannot be set over the channel, because a listener there gives rights")
			continue
		}
		used[n] = true
		checkReadOnlyListener(running[n], l, at, refuse)
	}
}

// indexOfListener returns the index of the listener in force at the address of l, or -1. Of several at any port it is
// the one with the same index, if that is free.
func indexOfListener(l *Listen, running []*Listen, used []bool, i int) int {
	if l == nil {
		return -1
	}
	same := func(r *Listen) bool {
		return r.Transport == l.Transport && r.Address == l.Address && r.Path == l.Path && r.Socket == l.Socket
	}
	if i < len(running) && !used[i] && same(running[i]) {
		return i
	}
	for n, r := range running {
		if !used[n] && same(r) {
			return n
		}
	}
	return -1
}

func checkReadOnlyListener(running, next *Listen, at string, refuse func(pointer, text string)) {
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for k := range to.NumField() {
		f := to.Type().Field(k)
		key := keyOf(f)
		switch {
		case key == "" || isSettable(f):
		case to.Field(k).IsZero():
			to.Field(k).Set(from.Field(k))
		case f.Tag.Get("wire") == "narrow":
			if widens := wideningChecks[key](running, next); widens != "" {
				refuse(at+"/"+key, widens)
			}
		case !sameValue(from.Field(k), to.Field(k)):
			refuse(at+"/"+key, "cannot be set over the channel")
		}
	}
}

// wideningChecks has a function for each key with the tag wire:"narrow". The function returns a text that says how next
// gives more rights than running, or "".
var wideningChecks = map[string]func(running, next *Listen) string{
	"max-access": func(running, next *Listen) string {
		requested, err := parseLevel(next.MaxAccess) // complete reports an unknown level
		if limit := levelOrAdmin(running.maxAccess()); err == nil && levelOrAdmin(requested) > limit {
			return fmt.Sprintf("cannot be raised over the channel: it is %s", limit)
		}
		return ""
	},
	"allow-hosts": func(running, next *Listen) string {
		return addedEntry(running.AllowHosts, &next.AllowHosts)
	},
	"allow-origins": func(running, next *Listen) string {
		if len(running.AllowOrigins) > 0 && len(next.AllowOrigins) == 0 {
			return "cannot be emptied over the channel, because the listener would then ask for certificates"
		}
		return addedEntry(running.AllowOrigins, &next.AllowOrigins)
	},
}

// levelOrAdmin returns a limit as a level to compare. No limit means admin.
func levelOrAdmin(limit mgr.Level) mgr.Level {
	if limit == 0 {
		return mgr.Admin
	}
	return limit
}

// addedEntry returns a text that names a new entry of a list, or "". It sets an empty list to nil, as in the file.
func addedEntry(running []string, next *[]string) string {
	for _, entry := range *next {
		if !slices.Contains(running, entry) {
			return fmt.Sprintf("cannot be extended over the channel: %q is new", entry)
		}
	}
	if len(*next) == 0 {
		*next = nil
	}
	return ""
}
