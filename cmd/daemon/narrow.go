package main

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/rudderpost/rudderpost/mgr"
)

// thawListeners compares each listener of a configuration that came over the channel with the one in force at the same
// place. A listener may be left out. It may not be added or moved. A key that is missing keeps its value. A key with the
// tag wire:"narrow" may give fewer rights, and every other key must be as it is.
func thawListeners(running, next []*Listen, refuse func(pointer, text string)) {
	used := make([]bool, len(running))
	for i, l := range next {
		at := fmt.Sprintf("/listen/%d", i)
		n := placeOf(l, running, used, i)
		if n < 0 {
			refuse(at, "cannot be set over the channel, because a listener there gives rights")
			continue
		}
		used[n] = true
		thawListener(running[n], l, at, refuse)
	}
}

// placeOf returns the index of the listener in force at the place of l, or -1. Of several at any port it is the one with
// the same index, if that is free.
func placeOf(l *Listen, running []*Listen, used []bool, i int) int {
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

func thawListener(running, next *Listen, at string, refuse func(pointer, text string)) {
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for k := range to.NumField() {
		f := to.Type().Field(k)
		key := keyOf(f)
		switch {
		case key == "" || settable(f):
		case to.Field(k).IsZero():
			to.Field(k).Set(from.Field(k))
		case f.Tag.Get("wire") == "narrow":
			if widens := narrowable[key](running, next); widens != "" {
				refuse(at+"/"+key, widens)
			}
		case !same(from.Field(k), to.Field(k)):
			refuse(at+"/"+key, "cannot be set over the channel")
		}
	}
}

// narrowable has, for each key with the tag wire:"narrow", a function that says in which way next gives more rights than
// running, or returns an empty string.
var narrowable = map[string]func(running, next *Listen) string{
	"max-access": func(running, next *Listen) string {
		asked, err := level(next.MaxAccess) // complete reports a level that does not exist
		if most := cmpLevel(running.ceiling()); err == nil && cmpLevel(asked) > most {
			return fmt.Sprintf("cannot be raised over the channel: it is %s", most)
		}
		return ""
	},
	"allow-hosts": func(running, next *Listen) string {
		return addition(running.AllowHosts, &next.AllowHosts)
	},
	"allow-origins": func(running, next *Listen) string {
		if len(running.AllowOrigins) > 0 && len(next.AllowOrigins) == 0 {
			return "cannot be emptied over the channel, because the listener would then ask for certificates"
		}
		return addition(running.AllowOrigins, &next.AllowOrigins)
	},
}

// cmpLevel is a ceiling as a level that can be compared: without a ceiling everything is allowed.
func cmpLevel(ceiling mgr.Level) mgr.Level {
	if ceiling == 0 {
		return mgr.Admin
	}
	return ceiling
}

// addition says which entry of a list is new, or returns an empty string. A list without entries becomes nil, as in the
// file.
func addition(running []string, next *[]string) string {
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
