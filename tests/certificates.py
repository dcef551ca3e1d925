"""An authority, and certificates of it, made for one run of the tests."""

import ssl

import trustme


class Files:
    """An authority, a certificate of a server and one of a client, as files."""

    def __init__(self, folder):
        self.authority = trustme.CA()
        server = self.authority.issue_cert("localhost", "127.0.0.1")
        self.certificate, self.key = str(folder / "server.pem"), str(folder / "server.key")
        self.trusted, self.client = str(folder / "authority.pem"), str(folder / "client.pem")
        for number, blob in enumerate(server.cert_chain_pems):
            blob.write_to_path(self.certificate, append=number > 0)
        server.private_key_pem.write_to_path(self.key)
        self.authority.cert_pem.write_to_path(self.trusted)
        self.authority.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(self.client)

    def context(self, client=False):
        context = ssl.create_default_context(cafile=self.trusted)
        if client:
            context.load_cert_chain(self.client)
        return context

    def args(self):
        return ("--certfile", self.certificate, "--keyfile", self.key)
