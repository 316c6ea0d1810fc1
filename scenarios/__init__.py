"""What an application does with WebTransport: foreign peers, network conditions and application scenarios."""
