// Go's crypto/tls, told by lines of input where to go and with which session.
//
// resume CA CERTIFICATE KEY VERSION PATH; a line is `PORT HOST keep` or `PORT HOST offer`: without a session, whose own is
// kept, or with the one that is kept. Each prints `STATUS VERSION new|resumed` and the body, on one line.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// One session for every host, which no sane client has.
type cache struct {
	session *tls.ClientSessionState
	keeps   bool
}

func (c *cache) Get(string) (*tls.ClientSessionState, bool) {
	if c.keeps {
		return nil, false
	}
	return c.session, c.session != nil
}

func (c *cache) Put(_ string, session *tls.ClientSessionState) {
	if c.keeps {
		c.session = session
	}
}

func main() {
	pem, err := os.ReadFile(os.Args[1])
	check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no CA")
	}
	certificate, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
	check(err)
	version := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[4]]
	sessions := &cache{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		port, host := words[0], words[1]
		sessions.keeps = words[2] == "keep"
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{
				RootCAs:            roots,
				Certificates:       []tls.Certificate{certificate},
				ClientSessionCache: sessions,
				MinVersion:         version,
				MaxVersion:         version,
			},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		}
		request, err := http.NewRequest("GET", "https://"+host+os.Args[5], nil)
		check(err)
		request.Header.Set("Accept", "application/json")
		client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		response, err := client.Do(request)
		check(err)
		body, err := io.ReadAll(response.Body)
		check(err)
		how := "new"
		if response.TLS.DidResume {
			how = "resumed"
		}
		protocol := map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}
		fmt.Println(response.StatusCode, protocol[response.TLS.Version], how, strings.TrimSpace(string(body)))
		transport.CloseIdleConnections()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
