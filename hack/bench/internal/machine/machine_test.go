package machine

import "testing"

func TestFind(t *testing.T) {
	for text, want := range map[string]string{
		"vendor_id\t: X\nmodel name\t: AMD EPYC\nmodel name\t: other\n": "AMD EPYC",
		"model name=a=b\n":          "a=b",
		"model names: AMD EPYC\n":   unknown,
		"the model name: AMD EPYC":  unknown,
		"":                          unknown,
		"model name":                unknown,
		"model name (full)\t: AMD ": unknown,
	} {
		if got := find(text, "model name"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                                "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/01/02 - https://h.org/": "2.6.12-1+deb12u4",
		"Server version: Apache/2.4.71 (Debian)":                       "2.4.71",
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1":   "7.0.15",
		"wrk debian/4.1.0-3 [epoll] Copyright (C) 2012 Will Glozer":    "4.1.0-3",
		"valgrind-3.19.0": unknown,
		"no version":      unknown,
	} {
		if got := version(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
