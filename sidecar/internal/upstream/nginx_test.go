package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// nginx starts the server of that name, and skips the test where there is none.
func nginx(t *testing.T, large []byte) (address string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	configuration := fmt.Sprintf(`daemon off; %s pid %[2]s/pid; error_log stderr; worker_processes 2;
events { worker_connections 512; }
http {
	access_log off; keepalive_requests 20; chunked_transfer_encoding on;
	client_body_temp_path %[2]s/a; proxy_temp_path %[2]s/b; fastcgi_temp_path %[2]s/c; uwsgi_temp_path %[2]s/d; scgi_temp_path %[2]s/e;
	server {
		listen %[3]s; root %[2]s/files;
		location = /echo { return 200 "$request_method $request_uri $http_host $http_x_a $content_length"; }
		location = /none { return 204; }
		location = /gone { keepalive_timeout 0; return 200 "gone"; }
	}
}`, user, dir, address)
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"nginx.conf": []byte(configuration), "files/large": large} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var output bytes.Buffer
	command := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	command.Stderr = &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Signal(os.Interrupt)
		command.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})
	eventually(t, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return address
}

// nginx closes a connection after 20 requests here, and one kind after each.
// Nobody notices.
func TestNginx(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	address := nginx(t, large)
	c := client(t)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 100 {
				id := fmt.Sprint(worker, "-", i)
				check := func(method, path, body, want string) {
					r := request(t, method, address, path, strings.NewReader(body))
					r.Host = "public.example"
					r.Header.Set("X-A", id)
					if _, got, err := exchange(c, r); err != nil || got != want {
						t.Errorf("%s %s: got %.100q, %v", method, path, got, err)
					}
				}
				check("GET", "/echo?a", "", "GET /echo?a public.example "+id+" ")
				check("POST", "/echo", "body", "POST /echo public.example "+id+" 4")
				check("GET", "/none", "", "")
				check("HEAD", "/large", "", "")
				check("POST", "/gone", "body", "gone")
				if i%10 == 0 {
					check("GET", "/large", "", string(large))
				}
			}
		})
	}
	all.Wait()

	near, far := pair(t)
	received := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(far)
		received <- b
	}()
	answer, err := c.RoundTrip(request(t, http.MethodGet, address, "/large", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.Copy(near, answer.Body); n != int64(len(large)) || err != nil {
		t.Error(n, err)
	}
	near.Close()
	if !bytes.Equal(<-received, large) {
		t.Error("other bytes were written")
	}
}
