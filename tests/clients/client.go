// Go's net/http: HTTP/1.1 twice, the second time with the session of the first, then HTTP/2.
//
// client CA CERTIFICATE KEY HOST PORT PATH; each prints `STATUS PROTOCOL new|resumed` and the body.
package main

import (
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

func main() {
	host, port, path := os.Args[4], os.Args[5], os.Args[6]
	pem, err := os.ReadFile(os.Args[1])
	check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatal("no CA")
	}
	certificate, err := tls.LoadX509KeyPair(os.Args[2], os.Args[3])
	check(err)
	sessions := tls.NewLRUClientSessionCache(4)
	for _, h2 := range []bool{false, false, true} {
		transport := &http.Transport{
			ForceAttemptHTTP2: h2,
			TLSClientConfig: &tls.Config{
				RootCAs:            roots,
				Certificates:       []tls.Certificate{certificate},
				ClientSessionCache: sessions,
			},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		}
		client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		response, err := client.Get("https://" + net.JoinHostPort(host, port) + path)
		check(err)
		body, err := io.ReadAll(response.Body)
		check(err)
		state := "new"
		if response.TLS.DidResume {
			state = "resumed"
		}
		if response.TLS.Version != tls.VersionTLS13 {
			state = "over an old version of TLS"
		}
		fmt.Println(response.StatusCode, response.Proto, state)
		fmt.Println(strings.TrimSpace(string(body)))
		transport.CloseIdleConnections()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
