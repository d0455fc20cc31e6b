//! Promises that need real pods: images, addresses, volumes, CPU. Root on Linux; elsewhere each test says why it is skipped.

mod starts;
