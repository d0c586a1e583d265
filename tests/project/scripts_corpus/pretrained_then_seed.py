# expect: KD702 KD711 KD716
import keras

base = keras.applications.MobileNetV2(weights="imagenet", include_top=False)
keras.utils.set_random_seed(0)
model = keras.Sequential([base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(ds, epochs=1)
