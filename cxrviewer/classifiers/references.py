"""What pictures are made alike to, where a recipe asks for it (docs/decisions/0031-preparation-and-cache.md).

Made by `cxrviewer.training.references` from 300 train pictures each of the paediatric set and of ChestX-ray14, by the
split of densenet121-cxr-2. A bundle carries a copy of what it uses, so a change here changes no bundle that is there.
"""

from __future__ import annotations

HISTOGRAM: tuple[float, ...] = (
    0.0067, 0.0582, 0.1092, 0.1649, 0.2163, 0.2635, 0.3045, 0.3408, 0.3726, 0.4007, 0.4262, 0.4503,
    0.4732, 0.495, 0.5161, 0.5365, 0.5562, 0.5754, 0.594, 0.6121, 0.6296, 0.6468, 0.6635, 0.6803,
    0.697, 0.7139, 0.7308, 0.748, 0.7651, 0.7825, 0.8005, 0.8216, 0.9125,
)  # fmt: skip
"""The mean of the pictures' quantile functions: grey values in [0, 1] at 33 equal steps of rank."""

PLACE = (0.125, 0.125, 0.8867, 0.8828)
"""Where lungs lie on average: top, left, bottom, right as fractions of the picture (median of each side)."""

MEAN_CHEST = (
    "000a12181c1d1e20262f3c4b59656d71716d655a4c3e3129252322201c140c030917232c3032353941495563707c84888885"
    "7d7165584c433d3a373531271a0d152839444b4e52585f68727e8a93999b9c9a948b80746a625b575350493e2d1a233a4f5e"
    "666c71777d848e98a0a5a9abababa7a19a9187817b756f6961544028314c657681898f959aa1a6a4a4abb5b9b9b9afa4a3a4"
    "a29e99928a82786851353b57728490999fa5aaaaa19797a3b3bbbcb9a896939da7aba9a39a9185745a3d415e788a98a2a9ae"
    "ada191898e9eb1bcbfb8a28d868e9ca8aeaba3998c7a614344617b8d9ca7afb0a591827f899bb0bfc3b99f887d7f8c9eacae"
    "a89d8f7d634546617b8e9fabb2ac988377788498b0c2c7bca08678767f92a6aeaa9f8f7d63454660798ea0adb2a58c797174"
    "8196b1c5ccc1a386757177899faeaca18f7a6144445d778da2b0b19d85746e728096b3c9d1c7a98a7770738299acaea38e78"
    "5e42425a738ca4b3ae957e706c738399b7ced5cdb1917d72727e93aab1a58f755a3f3e56718ba6b5aa8f7a6e6c76879ebcd3"
    "d9d1b89b8576737b8da6b3a88f72563c3b516d8ba9b6a589776c6d788da5c2d8ddd5bfa8917c757989a1b3aa8e6e5139374d"
    "698aacb59e85756c6f7e95acc8dce1d9c6b29c847879859cb2ad8e6b4c343348658aafb39981736e74869eb3cee0e5deccb9"
    "a78e7d7b8396b0b08f6848302f43628ab2b0957f73717a8ea3b9d3e4e8e3d2c0af99867f8393acb39065442c2b3f5f8cb4ac"
    "907f75758094a8bed8e7ebe7d8c8b7a38f848490a8b592634028283b5d8eb5a78c7e787a8597aac1dceaeeeadccfc1ae9a8b"
    "858da4b694613c2425385b90b7a2897e7b7f8999abc4deedf1eddfd5cab9a492898c9fb7975f392022355a93b69c877f7e82"
    "8a98abc6e0eef3efe1d8d0c1ac988b8c9bb69a5e361d1f335995b495868181858c99acc7e2eff4f1e3dad3c7b49e8d8995b3"
    "9d5d341a1d305898b0908685878c939fb1cae4f1f5f2e3dad4c8b7a2918a8fada05c31181b2e579baa8f8a8d949ba3aebdd2"
    "e7f2f6f3e3dad3c8b9a4938c8da6a25b2f17192b559ca59294a0acb6bdc5cedbecf5f9f5e4dad4cbbeab978c8ba0a35a2c15"
    "1729549ca299a9bbc8d0d5d9dde4f1f8fbf8e8dfdbd5ccbeaa978b9aa3592a141628539ba4aac1d1dae0e4e6e8ebf5fbfdfa"
    "ede6e3e0dad1c5b39b98a15828131427529bacbfd2dde5ebeeeff0f2f9fefffcf2eceae7e3dcd4cab6a1a058271213254e92"
    "afc2ced7dee3e6e7e7e8eef1f1efe7e3e1dedbd5cfc8bdab975325111121447e9dacb7bec3c7c9cacbcbcfd1d1cfcac7c5c2"
    "bfbbb6b1aa9e8549210e0e1c3a6884929ca2a7aaacadaeaeb1b2b2b0aca9a7a5a29f9b9690866f3e1c0b09172f556d798288"
    "8c8e9091929294959593908e8c8b8885817d786e5a331607"
)
"""32 x 32 uint8 as hexadecimal: the mean of the pictures, each moved so that its lungs lie at PLACE."""
